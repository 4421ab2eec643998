from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.counter_rules import counter_rules
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Register
from firmware_bridge.quality import Plausibility, Reason, RowVerdict, plausible_bounds
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage
from firmware_bridge.simulator.three_phase import Mains, Split, three_phase

S = 1_000_000
START_US = 1_700_000_000 * S
RATED_W = 22_000.0
GOOD, SUSPECT, MISSING = Quality.GOOD, Quality.SUSPECT, Quality.MISSING
M = Measurand

Row = Mapping[Measurand, float | None]


def judge_of(measurands: Sequence[Measurand], registers: Sequence[Register] = ()) -> Plausibility:
    known = {register.measurand: register for register in registers}
    rules = {
        one: counter_rules(Series(MeterId("m"), one), RATED_W, known.get(one))
        for one in measurands
        if one.facts.is_counter
    }
    return Plausibility(measurands, RATED_W, rules)


def judged(row: Row, *more: Row, step_s: float = 1.0) -> list[RowVerdict]:
    """Verdicts of rows that follow each other, each read at one instant."""
    judge, verdicts = judge_of(list(row)), []
    for place, one in enumerate([row, *more]):
        at_us = UtcUs(START_US + round(place * step_s * S))
        verdicts.append(judge.judge(list(one.values()), [at_us] * len(one)))
    return verdicts


def one_by_one(measurand: Measurand, *values: float | None, step_s: float = 1.0) -> list[Quality]:
    rows = [{measurand: value} for value in values]
    return [verdict.qualities[0] for verdict in judged(rows[0], *rows[1:], step_s=step_s)]


# --- range ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measurand", "low", "high"),
    [
        (M.VOLTAGE_L1_V, 0.0, 500.0),
        (M.ACTIVE_POWER_W, -26_400.0, 26_400.0),
        (M.REACTIVE_POWER_VAR, -26_400.0, 26_400.0),
        (M.CURRENT_L2_A, -264.0, 264.0),
        (M.BATTERY_CURRENT_A, -2_640.0, 2_640.0),
        (M.TEMPERATURE_C, -90.0, 200.0),
    ],
)
def test_what_the_quantity_or_the_main_breaker_does_not_allow_is_suspect(
    measurand: Measurand, low: float, high: float
):
    assert plausible_bounds(measurand, RATED_W) == (low, high)
    for value, quality in ((low, GOOD), (high, GOOD), (low - 0.1, SUSPECT), (high + 0.1, SUSPECT)):
        (verdict,) = judged({measurand: value})
        assert verdict.qualities == [quality]
        assert verdict.reasons == ({} if quality is GOOD else {0: Reason.RANGE})


@pytest.mark.parametrize("measurand", Measurand)
def test_no_rated_power_makes_a_range_wider_than_the_quantity_has(measurand: Measurand):
    low, high = plausible_bounds(measurand, 1e9)
    assert (low, high) == (measurand.facts.plausible_low, measurand.facts.plausible_high)


def test_a_missing_value_is_missing_whatever_stands_beside_it():
    (verdict,) = judged({M.VOLTAGE_V: None, M.ACTIVE_POWER_W: 1e9, M.ENERGY_IMPORT_WH: None})
    assert verdict.qualities == [MISSING, SUSPECT, MISSING]


# --- rate of change --------------------------------------------------------------------------------


def test_an_outage_is_believed_with_its_second_read_and_so_is_its_end():
    assert one_by_one(M.VOLTAGE_V, 230, 231, 0, 0, 0, 229, 230) == [GOOD, GOOD, SUSPECT, GOOD, GOOD, SUSPECT, GOOD]


def test_a_step_that_is_gone_with_the_next_read_was_never_believed():
    assert one_by_one(M.VOLTAGE_V, 230, 12, 231, 229) == [GOOD, SUSPECT, GOOD, GOOD]


def test_steps_that_confirm_nothing_stay_suspect():
    assert one_by_one(M.FREQUENCY_HZ, 50, 0, 70, 20, 50.2) == [GOOD, SUSPECT, SUSPECT, SUSPECT, GOOD]


def test_what_takes_its_time_is_good():
    assert one_by_one(M.VOLTAGE_V, 230, 130, 230) == [GOOD, GOOD, GOOD]
    assert one_by_one(M.VOLTAGE_V, 230, 0, 230, step_s=10) == [GOOD, GOOD, GOOD]
    assert one_by_one(M.STATE_OF_CHARGE, 0.50, 0.51, 0.50, step_s=0.3) == [GOOD, GOOD, GOOD]


def test_a_value_that_was_missing_meanwhile_is_measured_against_the_last_that_was_there():
    assert one_by_one(M.VOLTAGE_V, 230, None, None, 0, 0) == [GOOD, MISSING, MISSING, GOOD, GOOD]
    assert one_by_one(M.VOLTAGE_V, 230, None, 0, None, 0) == [GOOD, MISSING, SUSPECT, MISSING, GOOD]


def test_what_is_out_of_range_confirms_no_step():
    assert one_by_one(M.VOLTAGE_V, 230, 505, 495, 230) == [GOOD, SUSPECT, SUSPECT, GOOD]


def test_a_reading_that_is_repeated_keeps_its_quality_and_confirms_nothing():
    judge = judge_of([M.VOLTAGE_V, M.ENERGY_IMPORT_WH])
    first_us, second_us = UtcUs(START_US), UtcUs(START_US + S)
    judge.judge([230.0, 5e6], [first_us] * 2)
    for _ in range(5):
        assert judge.judge([0.0, 900.0], [second_us] * 2).qualities == [SUSPECT, SUSPECT]
    assert judge.counts == {Reason.RANGE: 0, Reason.RATE: 1, Reason.CROSS: 0, Reason.COUNTER: 1}


# --- one beside another ------------------------------------------------------------------------------

SINGLE = {M.ACTIVE_POWER_W: 2_000.0, M.VOLTAGE_V: 230.0, M.CURRENT_A: 9.0, M.FREQUENCY_HZ: 50.0}


def test_members_that_do_not_fit_are_all_suspect_and_the_others_are_not():
    (verdict,) = judged({**SINGLE, M.ACTIVE_POWER_W: 15_000.0})
    assert verdict.qualities == [SUSPECT, SUSPECT, SUSPECT, GOOD]
    assert set(verdict.reasons.values()) == {Reason.CROSS}


def test_a_value_that_is_suspect_itself_does_not_spoil_its_neighbours():
    rows = [SINGLE, {**SINGLE, M.VOLTAGE_V: 0.0}, {**SINGLE, M.VOLTAGE_V: 90_000.0}]
    assert [verdict.qualities for verdict in judged(*rows)] == [
        [GOOD, GOOD, GOOD, GOOD],
        [GOOD, SUSPECT, GOOD, GOOD],
        [GOOD, SUSPECT, GOOD, GOOD],
    ]


def test_a_missing_member_switches_a_check_off():
    (verdict,) = judged({**SINGLE, M.ACTIVE_POWER_W: 15_000.0, M.CURRENT_A: None})
    assert verdict.qualities == [GOOD, GOOD, MISSING, GOOD]


def test_only_values_of_one_request_are_held_against_each_other_and_a_frequency_of_one_sweep():
    """A kettle that is switched on between two requests is no damaged frame."""
    values = [15_000.0, 230.0, 9.0, 12.0]
    at_us = UtcUs(START_US)
    for apart_us, quality in ((60_000, SUSPECT), (30 * S, GOOD)):
        instants = [at_us, at_us, UtcUs(at_us + 40_000), UtcUs(at_us + apart_us)]
        assert judge_of(list(SINGLE)).judge(values, instants).qualities == [GOOD, GOOD, GOOD, quality]


def test_what_its_neighbours_contradict_is_no_level_to_go_on_from_but_can_be_confirmed():
    mains_v = [230.0, 230.0, 230.0, 230.0, None, None]
    rows = [
        {M.VOLTAGE_V: volt, M.FREQUENCY_HZ: hertz}
        for volt, hertz in zip(mains_v, [50.0, 0.0, 0.0, 50.0, 0.0, 0.0], strict=True)
    ]
    verdicts = judged(rows[0], *rows[1:])
    assert [one.qualities[1] for one in verdicts] == [GOOD, SUSPECT, SUSPECT, GOOD, SUSPECT, GOOD]
    assert [one.reasons.get(1) for one in verdicts[1:5]] == [Reason.RATE, Reason.CROSS, None, Reason.RATE]


def test_a_meter_that_means_something_else_is_believed_from_the_third_read_on():
    odd = {**SINGLE, M.CURRENT_A: 0.0}
    assert [verdict.qualities[0] for verdict in judged(odd, *[odd] * 9)] == [SUSPECT, SUSPECT, *[GOOD] * 8]


def test_a_repeated_row_does_not_make_a_meter_odd():
    judge = judge_of(list(SINGLE))
    row, instants = [15_000.0, 230.0, 9.0, 50.0], [UtcUs(START_US)] * 4
    for _ in range(10):
        assert judge.judge(row, instants).qualities[0] is SUSPECT


# --- counters --------------------------------------------------------------------------------------


def test_a_counter_books_and_tells_what_it_concluded():
    rows = [{M.VOLTAGE_V: 230.0, M.ENERGY_IMPORT_WH: wh} for wh in (5e6, 5e6 + 5, 0.0, 5e6 + 12)]
    verdicts = judged(rows[0], *rows[1:])
    assert [verdict.qualities[1] for verdict in verdicts] == [GOOD, GOOD, SUSPECT, GOOD]
    assert [verdict.advances for verdict in verdicts] == [{}, {1: 5.0}, {}, {1: 7.0}]
    assert [verdict.reasons for verdict in verdicts] == [{}, {}, {1: Reason.COUNTER}, {}]
    assert [event.kind for verdict in verdicts for event in verdict.events] == ["glitch"]


def test_the_serial_number_goes_to_the_counters():
    judge = judge_of([M.ENERGY_IMPORT_WH])
    instants = [[UtcUs(START_US + place * S)] for place in range(3)]
    judge.judge([5e6], instants[0], "81")
    judge.judge([3e3], instants[1], "95")
    (event,) = judge.judge([3e3], instants[2], "95").events
    assert event.kind == "swapped"


def test_a_repeated_reading_of_a_counter_proves_nothing():
    """It stood still for five minutes: a second read of the new value, but no repetition, shows that it caught up."""
    judge = judge_of([M.ENERGY_IMPORT_WH])
    for at_s in (0, 300):
        judge.judge([5e6], [UtcUs(START_US + at_s * S)])
    for at_s, quality in ((301, SUSPECT), (301, SUSPECT), (302, GOOD)):
        assert judge.judge([5e6 + 1_000], [UtcUs(START_US + at_s * S)]).qualities == [quality]


def test_counters_go_on_after_a_restart():
    rules = {M.ENERGY_IMPORT_WH: counter_rules(Series(MeterId("m"), M.ENERGY_IMPORT_WH), RATED_W)}
    before = Plausibility(list(rules), RATED_W, rules)
    before.judge([5e6], [UtcUs(START_US)])
    after = Plausibility(list(rules), RATED_W, rules, before.counter_states)
    assert after.judge([5e6 + 40], [UtcUs(START_US + 10 * S)]).advances == {0: 40.0}


def test_a_counter_out_of_range_is_not_even_held():
    assert one_by_one(M.ENERGY_IMPORT_WH, 5e6, -7, 2e12, 5e6 + 10) == [GOOD, SUSPECT, SUSPECT, GOOD]


# --- whatever comes --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_whatever_comes_is_judged_and_what_is_good_is_within_range_and_rate(data: st.DataObject):
    measurands = data.draw(st.lists(st.sampled_from(Measurand), min_size=1, max_size=12, unique=True))
    judge = judge_of(measurands)
    levels: dict[int, list[tuple[int, float]]] = {place: [] for place in range(len(measurands))}
    at_us = START_US
    for _ in range(data.draw(st.integers(1, 12))):
        at_us += data.draw(st.integers(-10 * S, 100 * S))
        values = data.draw(st.lists(st.none() | st.floats(), min_size=len(measurands), max_size=len(measurands)))
        verdict = judge.judge(values, [UtcUs(at_us)] * len(values))
        for place, (value, quality) in enumerate(zip(values, verdict.qualities, strict=True)):
            assert (quality is MISSING) == (value is None)
            assert (quality is SUSPECT) == (place in verdict.reasons)
            if value is None:
                continue
            low, high = plausible_bounds(measurands[place], RATED_W)
            if quality is GOOD:
                assert low <= value <= high
                assert _is_confirmed(measurands[place], levels[place], at_us, value)
            if low <= value <= high:
                levels[place].append((at_us, value))


def _is_confirmed(measurand: Measurand, levels: Sequence[tuple[int, float]], at_us: int, value: float) -> bool:
    """Whether some value that was shown before is within the rate; the first of all needs none."""
    rate = measurand.facts.rate_max_per_s
    if rate is None or not levels:
        return True
    return any(abs(value - level) <= rate * 1.01 * max(abs(at_us - then_us) / S, 1) for then_us, level in levels)


# --- healthy meters --------------------------------------------------------------------------------


def suspects(judge: Plausibility, rows: Iterator[tuple[int, Row]]) -> dict[int, set[Measurand]]:
    """What is suspect in which second; rows are read a tenth of a second into theirs."""
    found = {}
    for at_s, row in rows:
        verdict = judge.judge(list(row.values()), [UtcUs(at_s * S + S // 10)] * len(row))
        assert verdict.events == []
        if verdict.reasons:
            found[at_s] = {list(row)[place] for place in verdict.reasons}
    return found


def edges_of(house: House, start_s: int, end_s: int) -> set[int]:
    """The seconds in which the grid fails or returns."""
    is_up = house.grid_is_up(np.arange(start_s, end_s, dtype=np.int64) * S)
    return {start_s + 1 + int(place) for place in np.flatnonzero(np.diff(is_up.astype(np.int8)))}


def first_edge(house: House, start_s: int) -> int:
    return min(edges_of(house, start_s, start_s + 7 * 86_400))


def home_rows(house: House, start_s: int, end_s: int) -> Iterator[tuple[int, Row]]:
    at_us = np.arange(start_s, end_s, dtype=np.int64) * S
    power, volts, hertz = house.power_w(at_us), house.voltage_v(at_us), house.frequency_hz(at_us)
    drawn_wh = 5e6 + np.cumsum(np.maximum(power.load_w - power.solar_w, 0.0)) / 3600
    for place, at_s in enumerate(range(start_s, end_s)):
        v1, v2, v3 = volts[:, place].tolist()
        split = Split((0.2, 0.3, 0.5), (0.95, 0.97, 0.93))
        power_w = float(power.load_w[place] - power.solar_w[place])
        values = three_phase(power_w, Mains((v1, v2, v3), float(hertz[place])), split)
        yield at_s, {**values, M.ENERGY_IMPORT_WH: float(drawn_wh[place])}


def assert_nothing_but_edges(found: Mapping[int, set[Measurand]], edges: set[int]) -> None:
    assert set(found) == edges
    for measurands in found.values():
        assert all(one.facts.unit in {"V", "Hz"} for one in measurands)


def check_home(seed: int, before_s: int, after_s: int) -> None:
    house = House(seed, outages_per_week=20.0)
    edge_s = first_edge(house, START_US // S)
    span = (edge_s - before_s, edge_s + after_s)
    measurands = list(next(home_rows(house, edge_s, edge_s + 1))[1])
    found = suspects(judge_of(measurands), home_rows(house, *span))
    assert_nothing_but_edges(found, edges_of(house, *span))


def test_around_an_outage_only_the_first_read_of_it_is_suspect():
    check_home(1, before_s=600, after_s=600)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_over_a_day_of_a_home_only_the_first_reads_of_outages_are_suspect(seed: int):
    check_home(seed, before_s=43_200, after_s=43_200)


def modbus_profiles() -> list[str]:
    return [name for name in profile_names() if load_profile(name).file.protocol == "modbus"]


@pytest.mark.slow
@pytest.mark.parametrize("profile", modbus_profiles())
def test_no_profile_shows_anything_suspect_but_the_first_reads_of_outages(profile: str):
    """As the registers of the simulated meter round it."""
    text = f"""
    [site]
    seed = 5
    outages_per_week = 20.0
    [[meter]]
    name = "main"
    unit = 1
    profile = "{profile}"
    quantity = "grid"
    """
    stage = set_stage(parse_scenario(text), Path())
    (meter,) = stage.meters
    house = House(5, outages_per_week=20.0)
    edge_s = first_edge(house, stage.start_us // S)
    span = (edge_s - 900, edge_s + 900)
    rows = ((at_s, meter.snapshot(UtcUs(at_s * S)).shown) for at_s in range(*span))
    measurands = list(meter.snapshot(UtcUs(edge_s * S)).shown)
    found = suspects(judge_of(measurands, load_profile(profile).registers), rows)
    has_mains = any(one.startswith("voltage") for one in measurands)
    assert_nothing_but_edges(found, edges_of(house, *span) if has_mains else set())
