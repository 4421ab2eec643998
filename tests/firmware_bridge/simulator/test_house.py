"""The generated home: the same day every time, and a home one could live in."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.house import LOAD_W_MAX, House

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00Z
MINUTE_US, DAY_US = 60_000_000, 86_400_000_000

seeds = st.integers(0, 2**31)
instants = st.integers(0, 4_000_000_000).map(lambda second: second * 1_000_000)


def minutes(days: int, start_us: int = START_US):
    return start_us + np.arange(days * 1440, dtype=np.int64) * MINUTE_US


@settings(max_examples=25)
@given(seeds, st.lists(instants, min_size=1, max_size=20))
def test_an_instant_has_the_same_power_alone_or_among_others(seed, at):
    many = House(seed, time_zone="Europe/Berlin").power_w(np.array(at))
    for place, one in enumerate(at):
        alone = House(seed, time_zone="Europe/Berlin").power_w(np.array([one]))
        assert alone.load_w[0] == many.load_w[place]
        assert alone.solar_w[0] == many.solar_w[place]
        assert alone.grid_is_up[0] == many.grid_is_up[place]


@pytest.mark.slow
def test_another_process_computes_the_same_watts():
    code = (
        "import numpy as np; from firmware_bridge.simulator.house import House; "
        f"print(House(7).power_w({START_US} + np.arange(50) * 7_000_000_000).load_w.tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = House(7).power_w(START_US + np.arange(50) * 7_000_000_000).load_w.tolist()
    assert said.strip() == str(here)


@settings(max_examples=20)
@given(seeds, st.integers(0, 3000))
def test_power_stays_within_what_a_home_can_draw_and_make(seed, day):
    power = House(seed).power_w(minutes(2, day * DAY_US))
    assert np.all((power.load_w >= 0) & (power.load_w <= LOAD_W_MAX))
    assert np.all((power.solar_w >= 0) & (power.solar_w <= 4_000))
    assert np.all(power.load_w[power.grid_is_up] > 50)


@settings(max_examples=20)
@given(seeds)
def test_nothing_flows_while_the_grid_is_out(seed):
    house, at = House(seed, outages_per_week=20), minutes(7)
    power, voltage, frequency = house.power_w(at), house.voltage_v(at), house.frequency_hz(at)
    out = ~power.grid_is_up
    assert out.any()
    assert not power.load_w[out].any()
    assert not power.solar_w[out].any()
    assert not voltage[:, out].any()
    assert not frequency[out].any()
    assert np.all((voltage[:, ~out] > 215) & (voltage[:, ~out] < 245))
    assert np.all(np.abs(frequency[~out] - 50) < 0.1)


def test_the_grid_fails_a_few_times_a_week_for_twenty_minutes_to_three_hours():
    for seed in range(3):
        out = ~House(seed).grid_is_up(minutes(364))
        edges = np.flatnonzero(np.diff(out.astype(int), prepend=0, append=0))
        lengths = edges[1::2] - edges[::2]
        assert 2.5 < len(lengths) / 52 < 5.5
        assert lengths.min() >= 19
        assert lengths.max() <= 2 * 181  # two may touch
        evening = (edges[::2] % 1440) >= 16 * 60
        assert evening.mean() > 0.4


def test_a_grid_without_outages_never_fails():
    assert House(1, outages_per_week=0).grid_is_up(minutes(60)).all()


def test_days_have_a_rhythm_and_weekends_differ():
    power = House(3, outages_per_week=0).power_w(minutes(7 * 20, START_US + 4 * DAY_US)).load_w  # from a Monday
    by_hour = power.reshape(20, 7, 24, 60).mean(axis=(0, 3))
    weekday, weekend = by_hour[:5].mean(axis=0), by_hour[5:].mean(axis=0)
    assert weekday[18:21].mean() > 2 * weekday[1:5].mean()
    assert weekend[12:15].mean() > 1.1 * weekday[12:15].mean()


def test_days_differ_in_level():
    daily = House(3).power_w(minutes(60)).load_w.reshape(60, -1).mean(axis=1)
    assert daily.std() / daily.mean() > 0.08


def test_the_sun_shines_by_day_only_and_not_always_the_same():
    solar = House(5, outages_per_week=0).power_w(minutes(60)).solar_w.reshape(60, 24, 60)
    assert not solar[:, :4].any()
    assert not solar[:, 21:].any()
    daily = solar.mean(axis=(1, 2))
    assert daily.max() > 1.5 * daily.min()
    assert solar.max() > 2_500


def test_a_home_without_panels_makes_nothing():
    assert not House(5, solar_peak_w=0).power_w(minutes(2)).solar_w.any()


def test_different_seeds_are_different_homes():
    means = {round(House(seed).power_w(minutes(14)).load_w.mean()) for seed in range(20)}
    assert len(means) > 15
    assert max(means) > 1.4 * min(means)


def test_voltage_is_never_still():
    volts = House(1, outages_per_week=0).voltage_v(START_US + np.arange(600, dtype=np.int64) * 1_000_000)
    assert np.all(np.abs(np.diff(volts, axis=1)).max(axis=0) > 0.001)


def test_the_peak_follows_the_local_clock():
    here, there = House(4), House(4, time_zone="Asia/Tokyo")
    at = minutes(3)
    shifted = there.power_w(at - 9 * 3_600_000_000)
    assert np.array_equal(here.power_w(at).load_w, shifted.load_w)


def test_an_unknown_zone_is_refused_by_name():
    with pytest.raises(SettingError, match="Mars/Base"):
        House(1, time_zone="Mars/Base").power_w(np.array([START_US]))
