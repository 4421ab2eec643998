from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.config import MeterConfig
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from firmware_bridge.simulator.house import House
from gateway.contract.records import TEXT_CHARACTERS_MAX, AnomalyRecord, restamp
from gateway.core.anomaly import (
    NEIGHBOURHOOD_POLLS,
    SHOWN_US,
    SIGN_POLLS,
    SPIKE_POLLS_MAX,
    STUCK_POLLS,
    AnomalyRules,
)
from gateway.core.grid import F64, GridRow
from gateway.core.site import Site

S = 1_000_000
MINUTE_US = 60 * S
START_US = UtcUs(1_700_006_400 * S)  # 2023-11-15 00:00 UTC
DAY_POLLS = 1_440
PHASES = (Measurand.VOLTAGE_L1_V, Measurand.VOLTAGE_L2_V, Measurand.VOLTAGE_L3_V)
MEASURANDS = (Measurand.ACTIVE_POWER_W, *PHASES, Measurand.FREQUENCY_HZ)
METERS = [
    MeterConfig("grid", "line", 1, "profile", "grid", 12_000.0),
    MeterConfig("solar", "line", 2, "profile", "solar", 12_000.0),
]
SERIES = [Series(MeterId(meter.name), measurand) for meter in METERS for measurand in MEASURANDS]
GRID, SOLAR = slice(0, len(MEASURANDS)), slice(len(MEASURANDS), 2 * len(MEASURANDS))
GRID_W, GRID_V, SOLAR_W = GRID.start, GRID.start + 1, SOLAR.start

Onset = tuple[str, str, int]


def home(seed: int, *, polls: int = DAY_POLLS, poll_us: int = MINUTE_US, start_us: int = START_US) -> F64:
    """What two meters that resolve 0.1 show of a simulated home, `[polls, series]`."""
    house = House(seed, time_zone="Africa/Lagos", outages_per_week=21)
    at_us = start_us + np.arange(polls, dtype=np.int64) * poll_us
    power, volts, hertz = house.power_w(at_us), house.voltage_v(at_us), house.frequency_hz(at_us)
    grid_w, solar_w = power.load_w - power.solar_w, -power.solar_w
    return np.asarray(np.stack([grid_w, *volts, hertz, solar_w, *volts, hertz], axis=-1).round(1))


def steady(polls: int) -> F64:
    """A home on which nothing happens: only the voltage is never still."""
    values = np.tile([500.0, 230.0, 231.0, 229.0, 50.0, -900.0, 230.0, 231.0, 229.0, 50.0], (polls, 1))
    wiggling = [GRID_V + 1, SOLAR_W + 2]
    values[:, wiggling] += (np.arange(polls) % 7 * 0.1)[:, np.newaxis]
    return values


class Rules:
    """The rules beside the site that feeds them."""

    def __init__(self) -> None:
        self.rules = AnomalyRules(SERIES, METERS)
        self.site = Site(SERIES, METERS, 230.0)

    def run(self, values: F64, *, poll_us: int = MINUTE_US, start_us: int = START_US) -> list[AnomalyRecord]:
        """The onsets of rows that follow each other; what cannot be true is suspect."""
        low, high = (
            np.array([getattr(one.measurand.facts, bound) for one in SERIES])
            for bound in ("plausible_low", "plausible_high")
        )
        found = []
        for poll, cells in enumerate(values):
            quality = np.where(np.isnan(cells), Quality.MISSING, Quality.GOOD)
            quality[(cells < low) | (cells > high)] = Quality.SUSPECT
            row = GridRow(UtcUs(start_us + poll * poll_us), cells, quality.astype(np.uint8))
            found += self.rules.look(row, self.site.state(cells))
        return found


def onsets(values: F64, *, poll_us: int = MINUTE_US) -> list[Onset]:
    """Kind, series and the poll since which it is so, of each onset."""
    return [
        (record.kind, record.series, (record.since_us - START_US) // poll_us)
        for record in Rules().run(values, poll_us=poll_us)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_day_brings_no_alarm(seed: int):
    day = home(seed)
    assert onsets(day) == []


def test_the_clean_days_hold_outages_and_quiet_nights():
    days = [home(seed) for seed in range(4)]
    assert any((day[:, GRID_V] == 0).any() for day in days)
    assert any((day[:, SOLAR_W] == 0).sum() > DAY_POLLS / 4 for day in days)
    repeats = sum((before == after).sum() for day in days for before, after in pairwise(day[:, GRID_V]))
    assert repeats > 100, "with a resolution of 0.1 V the voltage often stays the same for a poll"


@pytest.mark.parametrize("seed", range(2))
def test_a_quarter_of_an_hour_polled_each_second_brings_no_alarm(seed: int):
    evening_us = START_US + 18 * 3600 * S
    assert Rules().run(home(seed, polls=900, poll_us=S, start_us=evening_us), poll_us=S, start_us=evening_us) == []


def freeze(day: F64) -> None:
    day[300:340, GRID] = day[299, GRID]


def turn_transformer(day: F64) -> None:
    day[700:740, SOLAR_W] = 800.0


def break_wire(day: F64) -> None:
    day[500, GRID_V] = 655.3


def disturb(day: F64) -> None:
    day[900, GRID_W] += 11_000.0


@pytest.mark.parametrize(
    ("inject", "onset"),
    [
        (freeze, ("stuck", "grid", 300)),
        (turn_transformer, ("sign", "solar.active_power_w", 700)),
        (break_wire, ("range", "grid.voltage_l1_v", 500)),
        (disturb, ("spike", "grid.active_power_w", 900)),
    ],
)
@pytest.mark.parametrize("seed", [1, 3])
def test_a_fault_at_a_known_instant_is_found_once(inject: Callable[[F64], None], onset: Onset, seed: int):
    day = home(seed)
    inject(day)
    assert onsets(day) == [onset]


def test_all_faults_of_a_day_are_found():
    day = home(1)
    for inject in (freeze, turn_transformer, break_wire, disturb):
        inject(day)
    assert [kind for kind, *_ in onsets(day)] == ["stuck", "range", "sign", "spike"]


def test_a_meter_is_stuck_after_ten_polls_over_five_minutes():
    for poll_us, polls in ((MINUTE_US, STUCK_POLLS), (S, 301)):
        for more in (0, 1):
            rows = steady(20 + polls - 1 + more)
            rows[20:, GRID] = rows[19, GRID]
            assert len(onsets(rows, poll_us=poll_us)) == more


def test_a_stuck_meter_with_a_phase_that_is_not_connected_is_found():
    rows = steady(60)
    rows[:, [GRID_V + 2, SOLAR_W + 3]] = np.nan
    rows[20:40, GRID] = rows[19, GRID]
    assert onsets(rows) == [("stuck", "grid", 20)]


def test_a_silent_meter_is_silent_and_not_stuck_and_told_again_when_it_falls_silent_again():
    rows = steady(60)
    rows[20:40, GRID] = np.nan
    rows[50:60, GRID] = np.nan
    assert onsets(rows) == [("silent", "grid", 20), ("silent", "grid", 50)]


def test_a_minute_without_a_reply_is_no_alarm():
    rows = steady(180)
    rows[20:80, GRID] = np.nan
    assert onsets(rows, poll_us=US_PER_S) == []
    rows[20:81, GRID] = np.nan
    assert onsets(rows, poll_us=US_PER_S) == [("silent", "grid", 20)]


def test_a_meter_that_sleeps_through_an_outage_is_not_stuck():
    rows = steady(60)
    rows[20:50, GRID] = 0.0
    rows[20:50, SOLAR] = rows[19, SOLAR]
    assert onsets(rows) == []


def test_trouble_that_goes_and_comes_again_is_told_again():
    rows = steady(120)
    for since in (20, 60):
        rows[since : since + 20, GRID] = rows[since - 1, GRID]
    rows[80:90, SOLAR_W] = rows[100:110, SOLAR_W] = 500.0
    assert onsets(rows) == [
        ("stuck", "grid", 20),
        ("stuck", "grid", 60),
        ("sign", "solar.active_power_w", 80),
        ("sign", "solar.active_power_w", 100),
    ]


def test_what_is_wrong_at_present_is_shown_until_it_goes():
    rules, rows = Rules(), steady(60)
    rows[20:40, GRID] = rows[19, GRID]
    rules.run(rows[:40])
    assert [record.kind for record in rules.rules.active] == ["stuck"]
    assert rules.rules.active[0].since_us == START_US + 20 * MINUTE_US
    rules.run(rows[40:42], start_us=START_US + 40 * MINUTE_US)
    assert rules.rules.active == []


def test_a_value_out_of_range_for_hours_is_told_once_and_again_after_an_hour_without():
    hour = SHOWN_US // MINUTE_US
    rows = steady(8 * hour)
    rows[10 : 10 + 4 * hour, GRID_V] = 655.3
    rows[10 + 4 * hour + hour // 2, GRID_V] = 655.3
    rows[10 + 6 * hour, GRID_V] = 655.3
    assert [poll for *_, poll in onsets(rows)] == [10, 10 + 6 * hour]


@pytest.mark.parametrize("height_w", [9_000.0, -9_000.0])
@pytest.mark.parametrize("polls", [*range(1, 13), 15, 20, 31])
def test_an_excursion_of_a_few_polls_is_a_spike_and_a_longer_one_is_a_load(polls: int, height_w: float):
    rows = steady(90)
    rows[30 : 30 + polls, GRID_W] += height_w
    rows[30, GRID_W] += np.sign(height_w)
    told = onsets(rows)
    assert told == ([("spike", "grid.active_power_w", 30)] if polls <= SPIKE_POLLS_MAX else [])


def test_a_spike_names_what_was_usual_and_is_shown_for_an_hour():
    rules, rows = Rules(), steady(100)
    rows[30, GRID_W] = 9_500.0
    (record,) = rules.run(rows[:40])
    assert (record.observed, record.expected_low, record.expected_high) == (9_500.0, -5_500.0, 6_500.0)
    assert record.at_us == START_US + 31 * MINUTE_US
    rules.run(rows[40:92], start_us=START_US + 40 * MINUTE_US)
    assert len(rules.rules.active) == 1
    rules.run(rows[92:], start_us=START_US + 92 * MINUTE_US)
    assert rules.rules.active == []


def test_the_first_polls_of_a_gateway_make_no_spike():
    rows = steady(NEIGHBOURHOOD_POLLS)
    rows[5, GRID_W] = 11_000.0
    assert onsets(rows) == []


def test_a_restless_load_makes_no_spike():
    rows = steady(300)
    rows[:, GRID_W] += np.random.default_rng(3).normal(0, 2_000, 300)
    assert onsets(rows) == []


def test_a_producer_that_consumes_a_little_is_not_reported():
    rows = steady(60)
    rows[20:, SOLAR_W] = 119.9  # an inverter at night, below 1 % of the rating
    assert onsets(rows) == []


def test_a_wrong_sign_counts_from_the_fifth_poll_on():
    for polls, count in ((SIGN_POLLS - 1, 0), (SIGN_POLLS, 1)):
        rows = steady(60)
        rows[20 : 20 + polls, SOLAR_W] = 500.0
        assert len(onsets(rows)) == count


def residual(since: int) -> AnomalyRecord:
    at_us = UtcUs(START_US + since * MINUTE_US)
    return AnomalyRecord(at_us, "residual", "consumption_w", at_us, 9.0, 1.0, 2.0, "Far more.")


def test_the_verdict_of_the_residual_rule_is_told_once_and_cleared_by_none():
    rules = AnomalyRules(SERIES, METERS)
    assert rules.latch_residual(residual(1)) == [residual(1)]
    assert rules.latch_residual(residual(2)) == []
    assert rules.active == [residual(1)]
    assert rules.latch_residual(None) == []
    assert rules.active == []
    assert rules.latch_residual(residual(3)) == [residual(3)]


VALUES = st.sampled_from([np.nan, 0.0, 230.0, -1.0, 501.0, 4e6, -1e13, 1e13]) | st.floats(-1e4, 1e4)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(VALUES, min_size=len(SERIES), max_size=len(SERIES)), min_size=1, max_size=8), st.data())
def test_random_rows_never_raise_and_tell_nothing_twice(some: list[list[float]], data: st.DataObject):
    order = data.draw(st.lists(st.integers(0, len(some) - 1), min_size=1, max_size=60))
    rules, active = Rules(), set[tuple[str, str]]()
    for poll, which in enumerate(order):
        told = rules.run(np.array([some[which]]), start_us=START_US + poll * MINUTE_US)
        keys = [(record.kind, record.series) for record in told]
        assert len(set(keys)) == len(keys)
        assert not active.intersection(keys)
        active = {(record.kind, record.series) for record in rules.rules.active}
        assert active.issuperset(keys)
        for record in told:
            assert record.since_us <= record.at_us
            assert len(record.sentence) <= TEXT_CHARACTERS_MAX


def test_a_suspect_value_that_could_be_true_is_no_range_anomaly():
    """A voltage that fell at once, a counter that is held: the next read may confirm them."""
    rules = Rules()
    cells = steady(1)[0]
    cells[GRID_V] = 0.0
    quality = np.full(len(SERIES), Quality.GOOD, dtype=np.uint8)
    quality[GRID_V] = Quality.SUSPECT
    row = GridRow(START_US, cells, quality)
    assert rules.rules.look(row, rules.site.state(row.good_values)) == []


def test_a_power_beyond_the_main_breaker_is_a_range_anomaly_and_says_what_it_lets_through():
    rules = Rules()
    cells = steady(1)[0]
    cells[GRID_W] = 14_401.0
    quality = np.full(len(SERIES), Quality.GOOD, dtype=np.uint8)
    quality[GRID_W] = Quality.SUSPECT
    row = GridRow(START_US, cells, quality)
    (record,) = rules.rules.look(row, rules.site.state(row.good_values))
    assert (record.kind, record.expected_low, record.expected_high) == ("range", -14_400.0, 14_400.0)


def test_a_clock_that_is_set_hastens_no_alarm_and_delays_none():
    values = steady(40)
    values[10:, GRID] = np.nan
    values[25:, SOLAR_W] = 900.0
    undisturbed = Rules().run(values)
    assert {one.kind for one in undisturbed} == {"silent", "sign"}
    for by_us in (-MINUTE_US * 60, 10 * 365 * 24 * 60 * MINUTE_US):
        for set_at in (11, 12, 26, 35):
            rules = Rules()
            before = rules.run(values[:set_at])
            rules.rules.shift(by_us)
            after = rules.run(values[set_at:], start_us=START_US + set_at * MINUTE_US + by_us)
            assert before + [restamp(one, -by_us) for one in after] == undisturbed
            assert rules.rules.active == [restamp(one, by_us) for one in undisturbed]
