from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.gaps import filled, runs
from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import ENERGY

DAY_STEPS = ENERGY.day_steps
# Monday 3 March 2025 00:00 UTC; four weeks later clocks go forward in Berlin.
START_US = 1_740_960_000_000_000
RAMP_W = np.arange(40.0 * DAY_STEPS)


def series(power_w, zone="UTC") -> SiteSeries:
    return SiteSeries("mill", "acme", ZoneInfo(zone), START_US, ENERGY.step_us, power_w, production_w=power_w)


def without(power_w, first, steps):
    holed = power_w.copy()
    holed[first : first + steps] = np.nan
    return holed


def test_stretches_are_found_at_both_ends_and_in_between():
    found = runs(np.array([True, False, True, True, False, True]))
    assert list(zip(found.first, found.end, strict=True)) == [(0, 1), (2, 4), (5, 6)]
    assert list(found.steps) == [1, 2, 1]
    assert len(runs(np.zeros(3, dtype=bool)).first) == 0


def test_an_hour_is_bridged_with_a_line():
    for steps in (1, 4):
        power_w, was_filled = filled(series(without(RAMP_W, 100, steps)), "consumption_w")
        np.testing.assert_allclose(power_w, RAMP_W)
        assert list(np.flatnonzero(was_filled)) == list(range(100, 100 + steps))


def test_hours_are_bridged_with_the_same_time_of_the_weeks_before():
    week = np.random.default_rng(1).uniform(0, 1e3, 7 * DAY_STEPS)
    whole_w = np.tile(week, 4)
    power_w, was_filled = filled(series(without(whole_w, 2000, 24)), "consumption_w")
    np.testing.assert_allclose(power_w, whole_w)
    assert was_filled.sum() == 24


def test_the_same_time_is_that_of_the_wall_clock():
    """In Berlin, 07:00 of 7 April is 05:00 UTC and of 24 March 06:00 UTC."""
    berlin = ZoneInfo("Europe/Berlin")
    whole = series(np.zeros(36 * DAY_STEPS), "Europe/Berlin")
    local_hour = (whole.at_us() - START_US) // 3_600_000_000 % 24 + 1 + (whole.at_us() >= 1_743_296_400_000_000)
    power_w = np.asarray(local_hour % 24, dtype=np.float64)
    holed = series(without(power_w, 35 * DAY_STEPS, 24), "Europe/Berlin")
    assert holed.zone == berlin
    np.testing.assert_allclose(filled(holed, "consumption_w").power_w, power_w)


def test_what_comes_later_fills_nothing():
    first_week = without(RAMP_W, 100, 24)
    power_w, was_filled = filled(series(first_week), "consumption_w")
    assert np.isnan(power_w[100:124]).all()
    assert not was_filled.any()


@given(first=st.integers(0, len(RAMP_W) - 1), steps=st.integers(1, 200))
def test_nothing_is_made_up_across_more_than_six_hours(first, steps):
    holed = without(RAMP_W, first, steps)
    power_w, was_filled = filled(series(holed), "production_w")
    gap = slice(first, min(first + steps, len(RAMP_W)))
    if gap.stop - gap.start > 24:
        assert np.isnan(power_w[gap]).all()
    assert was_filled[gap].sum() == was_filled.sum() == np.isfinite(power_w[gap]).sum()
    np.testing.assert_array_equal(
        np.delete(power_w, range(first, gap.stop)), np.delete(holed, range(first, gap.stop))
    )


@pytest.mark.parametrize("power_w", [np.full(10, np.nan), np.zeros(0), np.ones(10)])
def test_nothing_to_fill_and_nothing_to_fill_with(power_w):
    found_w, was_filled = filled(series(power_w), "consumption_w")
    np.testing.assert_array_equal(found_w, power_w)
    assert not was_filled.any()
