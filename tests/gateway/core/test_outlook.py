from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.core.outlook import AHEAD_DAYS, DAYS_MIN, Days, look_out, whole_days

BERLIN, LAGOS = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Lagos")
STEP_US = 900_000_000
MONDAY = 19_723  # 2024-01-01


def at_us(year: int, month: int, day: int, zone: ZoneInfo) -> int:
    return int(datetime(year, month, day, tzinfo=zone).timestamp()) * 1_000_000


def steps(count: int, power_w: float = 1000.0) -> tuple[np.ndarray, np.ndarray]:
    return np.full(count, power_w), np.ones(count, np.bool_)


def test_only_whole_local_days_are_days():
    power_w, known = steps(3 * 96)
    start_us = at_us(2024, 1, 1, LAGOS) + 5 * STEP_US
    days = whole_days(power_w, known, start_us, STEP_US, LAGOS)
    assert (days.first, days.mean_w.tolist()) == (MONDAY + 1, [1000.0, 1000.0])
    assert whole_days(power_w[:90], known[:90], start_us, STEP_US, LAGOS).mean_w.size == 0
    assert whole_days(power_w[:0], known[:0], start_us, STEP_US, LAGOS).mean_w.size == 0


@pytest.mark.parametrize(("month", "day", "quarters"), [(3, 31, 92), (10, 27, 100)])
def test_a_day_on_which_clocks_change_is_a_whole_day(month: int, day: int, quarters: int):
    power_w, known = steps(96 + quarters + 96)
    power_w[96 : 96 + quarters] = 500.0
    days = whole_days(power_w, known, at_us(2024, month, day - 1, BERLIN), STEP_US, BERLIN)
    assert days.mean_w.tolist() == [1000.0, 500.0, 1000.0]


def test_a_day_of_which_too_little_is_known_is_not_known():
    power_w, known = steps(3 * 96)
    known[96 : 96 + 9], known[2 * 96 : 2 * 96 + 10] = False, False
    power_w[~known] = 1e9
    days = whole_days(power_w, known, at_us(2024, 1, 1, LAGOS), STEP_US, LAGOS)
    assert days.mean_w[:2].tolist() == [1000.0, 1000.0]
    assert np.isnan(days.mean_w[2])


def test_two_weeks_are_needed():
    assert look_out(Days(MONDAY, np.full(DAYS_MIN - 1, 100.0), LAGOS)) is None
    gappy = np.full(DAYS_MIN, 100.0)
    gappy[3] = np.nan
    assert look_out(Days(MONDAY, gappy, LAGOS)) is None
    assert look_out(Days(MONDAY, np.zeros(0), LAGOS)) is None
    assert look_out(Days(MONDAY, np.full(DAYS_MIN, 100.0), LAGOS)) is not None


def test_a_constant_goes_on_without_a_band():
    outlook = look_out(Days(MONDAY, np.full(28, 1000.0), LAGOS))
    assert outlook is not None
    assert outlook.first == date(2024, 1, 29)
    np.testing.assert_allclose(outlook.p50_wh, 24_000, atol=2)
    np.testing.assert_allclose(outlook.p90_wh, outlook.p10_wh, atol=200)


def test_a_day_of_an_hour_less_takes_an_hour_less():
    quiet = Days((date(2024, 3, 10) - date(1970, 1, 1)).days, np.full(14, 1000.0), BERLIN)
    around = look_out(quiet)
    assert around is not None
    index = (date(2024, 3, 31) - around.first).days
    assert around.p50_wh[index] == pytest.approx(23_000, abs=2)
    assert around.p50_wh[index + 1] == pytest.approx(24_000, abs=2)


def test_the_weekend_is_the_weekend():
    weekday = (MONDAY + np.arange(28) + 3) % 7
    outlook = look_out(Days(MONDAY, np.where(weekday >= 5, 200.0, 1000.0), LAGOS))
    assert outlook is not None
    ahead = np.array([(outlook.first.toordinal() - 1 + i) % 7 for i in range(AHEAD_DAYS)])
    said = np.array(outlook.p50_wh) / 24
    assert said[ahead >= 5].max() < 450
    assert said[ahead < 5].min() > 800


def test_a_rise_goes_on_but_not_for_ever():
    power_w = 1000 + 10.0 * np.arange(56)
    outlook = look_out(Days(MONDAY, power_w, LAGOS))
    assert outlook is not None
    weeks = np.array(outlook.p50_wh[:28]).reshape(4, 7).mean(axis=1) / 24
    assert (np.diff(weeks) > 0).all()
    assert np.diff(weeks)[2] < np.diff(weeks)[0]
    assert weeks[-1] < power_w[-1] + 10 * 28


def test_the_band_holds_about_what_it_says():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(6):
        power_w = 1000 + rng.normal(0, 100, 28 + AHEAD_DAYS)
        outlook = look_out(Days(MONDAY, power_w[:28], LAGOS))
        assert outlook is not None
        came = power_w[28:] * 24
        inside.append(((outlook.p10_wh <= came) & (came <= outlook.p90_wh)).mean())
    assert 0.75 < np.mean(inside) < 0.99


def test_the_past_of_a_gap_is_the_past_around_it():
    power_w = 1000 + np.random.default_rng(2).normal(0, 10, 28)
    gappy = power_w.copy()
    gappy[5:9] = np.nan
    whole, partly = look_out(Days(MONDAY, power_w, LAGOS)), look_out(Days(MONDAY, gappy, LAGOS))
    assert whole is not None
    assert partly is not None
    np.testing.assert_allclose(partly.p50_wh, whole.p50_wh, rtol=0.02)


@settings(deadline=None, max_examples=15)
@given(
    arrays.arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)), arrays.arrays(np.bool_, 20), st.integers(0, 30_000)
)
def test_any_days_have_an_outlook_in_order_or_none(power_w: np.ndarray, known: np.ndarray, first: int):
    mean_w = np.where(known, power_w, np.nan)
    outlook = look_out(Days(first, mean_w, BERLIN), ahead=8)
    if outlook is None:
        assert known.sum() < DAYS_MIN
        return
    said = np.array([outlook.p10_wh, outlook.p50_wh, outlook.p90_wh])
    assert said.shape == (3, 8)
    assert (np.diff(said, axis=0) >= 0).all()
    assert (said >= np.floor(min(0.0, np.nanmin(mean_w)) * 25) - 1).all()


def test_the_day_after_the_last_is_the_first_of_the_outlook():
    power_w, known = steps(20 * 96)
    days = whole_days(power_w, known, at_us(2024, 1, 1, LAGOS), STEP_US, LAGOS)
    outlook = look_out(days)
    assert outlook is not None
    assert outlook.first == datetime(2024, 1, 21, tzinfo=UTC).date()
