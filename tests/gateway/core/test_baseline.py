from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW, ForecastSpec, energy_spec
from gateway.contract.local_time import utc_offset_us
from gateway.core.baseline import (
    BASELINES,
    Baseline,
    daily_naive,
    is_whole,
    last_value,
    median_w,
    quantiles_w,
    seasonal_naive,
    smart_persistence,
)
from gateway.core.past import Past

BERLIN, LAGOS = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Lagos")
START_US = 1_700_000_100 * 1_000_000
DAY_US = 86_400_000_000
# The same power at the same local time of each week, no two quarters alike.
WEEK_W = np.random.default_rng(7).permutation(7 * 96) * 10.0 + 200
ALL: tuple[Baseline, ...] = ("smart_persistence", "seasonal_naive", "daily_naive", "last_value")
# 2024-03-31 01:00 and 2024-10-27 01:00 UTC
FORWARD_US, BACK_US = 1_711_846_800_000_000, 1_729_990_800_000_000


def weekly_w(at_us: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    local_us = at_us + utc_offset_us(at_us, zone)
    return WEEK_W[(local_us % (7 * DAY_US)) // ENERGY.step_us]


def past(issued_us: int = START_US, zone: ZoneInfo = LAGOS, known: np.ndarray | None = None) -> Past:
    at_us = issued_us + np.arange(-ENERGY.history_steps, 0, dtype=np.int64) * ENERGY.step_us
    power_w = weekly_w(at_us, zone)
    return Past(power_w, np.ones(power_w.shape, np.bool_) if known is None else known, np.asarray(issued_us), zone)


def truth_w(issued_us: int, zone: ZoneInfo = LAGOS) -> np.ndarray:
    return weekly_w(issued_us + np.arange(96, dtype=np.int64) * ENERGY.step_us, zone)


def only(*parts: slice) -> np.ndarray:
    known = np.zeros(ENERGY.history_steps, np.bool_)
    for part in parts:
        known[part] = True
    return known


@pytest.mark.parametrize("offset", [0, 1, 37, 95, 300])
def test_the_seasonal_naive_is_exact_on_a_week_that_repeats(offset: int):
    issued_us = START_US + offset * ENERGY.step_us
    assert np.array_equal(seasonal_naive(ENERGY, past(issued_us)), truth_w(issued_us))


@pytest.mark.parametrize("change_us", [FORWARD_US, BACK_US])
@pytest.mark.parametrize("quarters", [-90, -48, -5, 3, 300, 7 * 96 - 50, 7 * 96 - 3])
def test_it_stays_exact_around_the_days_on_which_clocks_change(change_us: int, quarters: int):
    issued_us = change_us + quarters * ENERGY.step_us
    one = past(issued_us, BERLIN)
    wrong = np.flatnonzero(seasonal_naive(ENERGY, one) != truth_w(issued_us, BERLIN))
    # Of the hour that was left out a week ago there is no power to repeat; yesterday's stands in.
    target_us = issued_us + wrong * ENERGY.step_us
    local_us = target_us + utc_offset_us(target_us, BERLIN)
    assert set((local_us % DAY_US // 3_600_000_000).tolist()) <= {2}
    assert len(wrong) <= 4
    assert bool(is_whole("seasonal_naive", ENERGY, one))


def test_the_daily_naive_is_yesterday():
    assert np.array_equal(daily_naive(ENERGY, past()), truth_w(START_US - DAY_US))


def test_each_step_takes_the_best_that_is_known_of_it():
    steps = ENERGY.history_steps
    week, day = steps - 7 * 96, steps - 96
    known = only(slice(week, week + 2), slice(day + 1, day + 3), slice(steps - 1, steps))
    one = Past(np.arange(steps, dtype=np.float64), known, np.asarray(START_US), LAGOS)
    assert seasonal_naive(ENERGY, one)[:4].tolist() == [week, week + 1, day + 2, steps - 1]
    assert daily_naive(ENERGY, one)[:4].tolist() == [week, day + 1, day + 2, steps - 1]
    assert set(last_value(ENERGY, one)) == {steps - 1}
    assert not any(is_whole(name, ENERGY, one) for name in ("seasonal_naive", "daily_naive"))
    assert is_whole("last_value", ENERGY, one)


def test_values_that_are_not_known_are_never_used():
    day = only(slice(-96, None))
    one = Past(np.where(day, 500.0, 1e9), day, np.asarray(START_US), LAGOS)
    for name in ALL:
        assert quantiles_w(name, ENERGY, one).max() <= 500 * 1.2


def test_nothing_is_said_when_nothing_is_known():
    for name in ALL:
        for spec in (ENERGY, LOAD):
            steps = spec.history_steps
            one = Past(np.zeros(steps), np.zeros(steps, np.bool_), np.asarray(START_US), LAGOS)
            assert np.isnan(quantiles_w(name, spec, one)).all()
            assert not is_whole(name, spec, one)


def test_smart_persistence_falls_to_yesterday_where_no_sky_is_known():
    known = only(slice(-8 * 96, -7 * 96), slice(-1, None))
    one = past(known=known)
    assert smart_persistence(ENERGY, one).shape == (96,)
    assert not np.isnan(smart_persistence(ENERGY, one)).any()


def test_the_peak_is_the_highest_of_the_steps():
    for spec in (LOAD, LOAD_SLOW):
        power_w = np.random.default_rng(1).uniform(100, 900, spec.history_steps)
        one = Past(power_w, np.ones(power_w.shape, np.bool_), np.asarray(START_US), LAGOS)
        for name in ALL:
            said = median_w(name, spec, one)
            assert said.shape == (spec.rows,)
            assert said[-1] == said[:-1].max()


def test_the_band_holds_what_it_says_where_days_differ_by_chance():
    rng = np.random.default_rng(3)
    for spec in (ENERGY, LOAD_SLOW):
        many = rng.normal(5000, 400, (60, spec.history_steps + spec.horizon_steps))
        history, actual = many[:, : spec.history_steps], many[:, spec.history_steps :]
        one = Past(history, np.ones(history.shape, np.bool_), np.full(60, START_US), LAGOS)
        for name in ("seasonal_naive", "daily_naive", "last_value"):
            said = quantiles_w(name, spec, one)
            below = (actual[..., np.newaxis] <= said[:, : spec.horizon_steps]).mean(axis=(0, 1))
            np.testing.assert_allclose(below, spec.quantiles, atol=0.1)


def test_a_site_that_repeats_itself_has_a_band_without_width():
    said = quantiles_w("seasonal_naive", ENERGY, past())
    assert np.array_equal(said[:, 0], said[:, 2])
    one_day = past(known=only(slice(-96, None)))
    assert np.array_equal(quantiles_w("daily_naive", ENERGY, one_day)[:, 0], daily_naive(ENERGY, one_day))


def test_the_hours_that_vary_have_the_wider_band():
    power_w = np.full(ENERGY.history_steps, 1000.0).reshape(28, 96)
    power_w[:, 40:60] += np.random.default_rng(5).normal(0, 300, (28, 20))
    one = Past(power_w.ravel(), np.ones(28 * 96, np.bool_), np.asarray(START_US), LAGOS)
    said = quantiles_w("daily_naive", ENERGY, one)
    width = said[:, 2] - said[:, 0]
    assert width[:30].max() == 0
    assert width[45:55].min() > 300


@settings(deadline=None, max_examples=15)
@given(
    arrays.arrays(np.float64, (2, LOAD_SLOW.history_steps), elements=st.floats(-1e9, 1e9), fill=st.floats(-1, 1)),
    arrays.arrays(np.bool_, (2, LOAD_SLOW.history_steps)),
    st.sampled_from([LOAD_SLOW, ENERGY]),
    st.integers(0, 4 * 365 * 96),
)
def test_quantiles_are_in_order_whatever_is_known_and_the_same_for_one_and_many(
    power_w: np.ndarray, known: np.ndarray, spec: ForecastSpec, steps: int
):
    issued_us = np.array([START_US, START_US + steps * spec.step_us])
    many = Past(power_w, known, issued_us, BERLIN)
    for name in ALL:
        said = quantiles_w(name, spec, many)
        assert said.shape == (2, spec.rows, len(spec.quantiles))
        assert np.array_equal(np.isnan(said).any(axis=(1, 2)), ~known.any(axis=1))
        assert (np.diff(said[known.any(axis=1)], axis=-1) >= 0).all()
        one = quantiles_w(name, spec, Past(power_w[1], known[1], issued_us[1], BERLIN))
        np.testing.assert_array_equal(one, said[1])


def test_a_target_has_its_baselines():
    assert BASELINES["consumption_w"][0] == "seasonal_naive"
    assert BASELINES["production_w"][0] == "smart_persistence"


def test_the_band_of_the_last_value_widens_as_a_walk_does():
    power_w = 5000 + np.cumsum(np.random.default_rng(9).normal(0, 10, ENERGY.history_steps))
    one = Past(power_w, np.ones(power_w.shape, np.bool_), np.asarray(START_US), LAGOS)
    said = quantiles_w("last_value", ENERGY, one)
    width = said[:, 2] - said[:, 0]
    np.testing.assert_allclose(width[[0, 15, 63]], 2 * 1.2816 * 10 * np.sqrt([1, 16, 64]), rtol=0.25)
    assert (np.diff(width) > -1e-6).mean() > 0.8


@pytest.mark.parametrize("hours", [1, 2, 24])
def test_a_horizon_of_one_step_or_of_few_has_its_band(hours: int):
    spec = energy_spec(3_600_000_000, hours)
    power_w = np.random.default_rng(2).uniform(0, 1, spec.history_steps)
    one = Past(power_w, np.ones(power_w.shape, np.bool_), np.asarray(START_US // spec.step_us * spec.step_us), LAGOS)
    for name in ALL:
        assert quantiles_w(name, spec, one).shape == (hours, 3)
