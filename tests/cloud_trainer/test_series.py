from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import MINUTE_US

QUARTER_US, HOUR_US = 15 * MINUTE_US, 60 * MINUTE_US
BERLIN = ZoneInfo("Europe/Berlin")
# 30 March 2025 00:00 in Berlin: a day of 23 hours
SPRING_US = 1_743_289_200_000_000


def series(power_w, *, start_us=SPRING_US, step_us=QUARTER_US, production_w=None) -> SiteSeries:
    return SiteSeries("mill", "acme", BERLIN, start_us, step_us, np.asarray(power_w, dtype=np.float64), production_w)


def test_steps_are_aligned_to_the_utc_epoch_and_divide_a_day():
    for start_us, step_us in ((1, QUARTER_US), (0, 7 * MINUTE_US), (0, -QUARTER_US)):
        with pytest.raises(ValueError, match="no beginning of a step"):
            series([1.0], start_us=start_us, step_us=step_us)


def test_production_has_as_many_steps_as_consumption():
    with pytest.raises(ValueError, match="2 steps of production, 1 of the rest"):
        series([1.0], production_w=np.zeros(2))


def test_production_is_a_target_only_where_there_is_solar():
    without, with_solar = series([1.0]), series([1.0], production_w=np.array([np.nan]))
    assert without.targets == ("consumption_w",)
    assert with_solar.targets == ("consumption_w", "production_w")
    assert not with_solar.known("production_w").any()
    with pytest.raises(KeyError):
        without.power_w("production_w")


def test_a_day_of_the_calendar_may_have_23_hours():
    two_days = series(np.zeros(2 * 96))
    days, steps = np.unique(two_days.local_day(), return_counts=True)
    assert list(steps) == [92, 96, 4]
    assert days[0] * 86_400_000_000 == SPRING_US + HOUR_US


def test_a_coarse_step_is_the_mean_of_what_is_known_of_at_least_half():
    nan = np.nan
    fine = series([1, 2, nan, 3, nan, nan, nan, 4, 5, 5, nan, nan])
    coarse = fine.coarser(HOUR_US)
    np.testing.assert_array_equal(coarse.consumption_w, [2, nan, 5])
    assert (coarse.start_us, coarse.step_us) == (SPRING_US, HOUR_US)


def test_a_coarse_step_that_begins_before_the_series_counts_what_there_is():
    coarse = series([1.0, 2.0, 3.0, 4.0, 5.0], start_us=SPRING_US + 2 * QUARTER_US).coarser(HOUR_US)
    np.testing.assert_array_equal(coarse.consumption_w, [1.5, 4.0])
    assert coarse.start_us == SPRING_US


def test_a_coarser_series_keeps_its_production():
    coarse = series(np.ones(4), production_w=np.array([0.0, 2.0, 2.0, 4.0])).coarser(HOUR_US)
    assert coarse.production_w is not None
    np.testing.assert_array_equal(coarse.production_w, [2.0])


def test_no_step_is_made_of_a_part_of_another():
    with pytest.raises(ValueError, match="no multiple"):
        series(np.ones(4)).coarser(20 * MINUTE_US)


@given(first=st.integers(-5, 20), end=st.integers(-5, 20))
def test_a_part_is_what_the_instants_say(first, end):
    whole = series(np.arange(12.0), production_w=np.arange(12.0))
    part = whole.part(first, end)
    np.testing.assert_array_equal(part.at_us() - whole.start_us, part.consumption_w * QUARTER_US)
    np.testing.assert_array_equal(part.consumption_w, np.arange(12.0)[max(first, 0) : max(end, 0)])
    assert part.end_us - part.start_us == len(part) * QUARTER_US


@given(start=st.integers(-5 * QUARTER_US, 15 * QUARTER_US), length=st.integers(-QUARTER_US, 15 * QUARTER_US))
def test_between_keeps_the_steps_that_lie_wholly_inside(start, length):
    whole = series(np.arange(12.0))
    start_us = whole.start_us + start
    inside = whole.between(start_us, start_us + length)
    at_us = whole.at_us()
    wanted = (at_us >= start_us) & (at_us + QUARTER_US <= start_us + length)
    np.testing.assert_array_equal(inside.consumption_w, whole.consumption_w[wanted])


def test_the_span_counts_unknown_steps_too():
    assert series(np.full(96, np.nan)).span_days == 1.0
