import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.contract.forecast_spec import LOAD_SLOW, energy_spec
from gateway.core.scores import (
    better_share,
    by_lead,
    coverage,
    daily_wape,
    mae,
    peak_miss_rate,
    pinball,
    r2,
    rmse,
    score,
    skill,
)

NAN = float("nan")
ACTUAL = np.array([[100.0, 200.0], [NAN, 400.0]])
SAID = np.array([[110.0, 180.0], [0.0, 400.0]])
SPEC = energy_spec(3_600_000_000, 2)
# over a few numbers whose sums are exact enough to compare
VALUES = arrays.arrays(np.float64, (4, 3), elements=st.integers(-1000, 1000).map(float))
MASKS = arrays.arrays(np.bool_, (4, 3))


def test_errors_are_those_computed_by_hand():
    assert mae(SAID, ACTUAL) == 10.0
    assert rmse(SAID, ACTUAL) == pytest.approx(np.sqrt(500 / 3))
    assert r2(SAID, ACTUAL) == pytest.approx(1 - 500 / 46_666.6667)
    only_first = np.array([[True, False], [True, False]])
    assert mae(SAID, ACTUAL, only_first) == 10.0
    assert mae(SAID, ACTUAL, ~only_first) == 10.0


def test_pinball_loss_is_the_mean_over_the_quantiles():
    said = np.array([[90.0, 100.0, 130.0]])
    # 20, 10 and -20 W beyond them
    assert pinball(said, np.array([110.0]), (0.1, 0.5, 0.9)) == pytest.approx((2 + 5 + 2) / 3)


def test_the_edges_belong_to_the_band():
    low, high = np.zeros(4), np.full(4, 10.0)
    assert coverage(low, high, np.array([0.0, 10.0, -1.0, 11.0])) == 0.5


def test_skill_is_against_the_better_baseline():
    assert skill(5.0, 10.0, 20.0) == 0.5
    assert skill(20.0, 10.0, NAN) == -1.0
    assert np.isnan(skill(5.0))
    assert np.isnan(skill(5.0, NAN))
    assert np.isnan(skill(5.0, 0.0)), "nothing is better than a baseline without error"


def test_where_nothing_counts_there_is_no_score():
    nothing = np.full((2, 3), NAN)
    said = np.zeros((2, 3))
    for one in (mae, rmse, r2, peak_miss_rate):
        assert np.isnan(one(said, nothing))
    assert np.isnan(coverage(said, said, nothing))
    assert np.isnan(pinball(np.zeros((2, 3, 3)), nothing, (0.1, 0.5, 0.9)))
    assert np.isnan(by_lead(said, np.zeros((2, 3), np.bool_))).all()
    assert np.isnan(daily_wape(said, nothing, np.zeros(2, np.int64)))
    assert np.isnan(better_share(nothing, said, np.array([1, 2]), np.random.default_rng(1)))


def test_a_constant_has_no_variance_to_explain():
    assert np.isnan(r2(np.zeros(5), np.ones(5)))


def test_daily_energy_counts_one_whole_horizon_a_day():
    actual = np.array([[1.0, NAN], [10.0, 10.0], [50.0, 50.0], [20.0, 20.0]])
    said = np.array([[0.0, 0.0], [5.0, 12.0], [0.0, 0.0], [20.0, 27.0]])
    day = np.array([1, 1, 1, 2])
    assert daily_wape(said, actual, day) == pytest.approx((3 + 7) / (20 + 40))


def test_a_peak_is_missed_when_it_is_higher_by_more_than_a_little():
    assert peak_miss_rate(np.full(4, 100.0), np.array([90.0, 104.0, 106.0, NAN])) == pytest.approx(1 / 3)


def test_a_whole_score_stands_on_the_steps_and_the_peak_for_itself():
    quantiles = np.repeat(np.array([10.0, 20.0, 30.0, 40.0, 50.0])[:, np.newaxis], 4, axis=1)[np.newaxis] + [
        0,
        1,
        2,
        3,
    ]
    actual = np.array([[11.0, 21.0, 31.0, NAN, 60.0]])
    found = score(
        LOAD_SLOW,
        quantiles,
        actual,
        {"last_value": actual + 4, "daily_naive": actual + 2},
        day=np.zeros(1, np.int64),
        train_sd_w=10.0,
    )
    assert (found.mae_w, found.coverage, found.baseline) == (0.0, 1.0, "daily_naive")
    assert (found.skill, found.peak_miss_rate, found.issues) == (1.0, 1.0, 1)
    assert found.baseline_mae_w == {"last_value": 4.0, "daily_naive": 2.0}
    assert found.pinball_sd == found.pinball_w / 10
    assert found.mae_by_lead_w[:3] == [0.0, 0.0, 0.0]
    assert np.isnan(found.mae_by_lead_w[3])


def test_a_score_without_baseline_or_spread_is_told_as_unknown():
    said, actual = np.zeros((1, 2, 3)), np.zeros((1, 2))
    found = score(SPEC, said, actual, {}, day=np.zeros(1, np.int64), train_sd_w=0.0)
    assert found.baseline == ""
    assert np.isnan([found.skill, found.mae_sd, found.r2, found.peak_miss_rate]).all()


@settings(deadline=None, max_examples=50)
@given(VALUES, VALUES, MASKS)
def test_what_is_masked_does_not_matter(said: np.ndarray, actual: np.ndarray, mask: np.ndarray):
    other = np.where(mask, actual, NAN)
    for one in (mae, rmse, r2):
        np.testing.assert_equal(one(said, actual, mask), one(said, other))


def test_whoever_is_always_better_is_better_in_every_draw():
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(30), 24)
    a, b = rng.uniform(0, 1, (720, 4)), rng.uniform(2, 3, (720, 4))
    assert better_share(a, b, day, rng) == 1.0
    assert better_share(b, a, day, rng) == 0.0
    assert better_share(a, a, day, rng) == 0.0, "as good is not better"


def test_chance_is_told_from_better():
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(60), 24)
    noise = rng.normal(0, 1, 60)[day]  # whole days are lucky or not
    share = better_share(10 + noise, np.full(1440, 10.0), day, rng)
    assert 0.02 < share < 0.98
    assert better_share(10 + noise - 1, np.full(1440, 10.0), day, rng) > 0.99


def test_the_same_seed_draws_the_same_and_unknown_pairs_are_left_out():
    day = np.repeat(np.arange(10), 3)
    a, b = np.random.default_rng(3).uniform(0, 1, (2, 30))
    first, second = (better_share(a, b, day, np.random.default_rng(4)) for _ in range(2))
    assert first == second
    a[5], worse = NAN, b.copy()
    worse[5] = 1e9
    assert better_share(a, worse, day, np.random.default_rng(4)) == better_share(a, b, day, np.random.default_rng(4))


def test_a_thousand_draws_over_a_year_of_quarters_are_made_of_days():
    day = np.repeat(np.arange(365), 96)
    a, b = np.random.default_rng(5).uniform(0, 1, (2, 365 * 96))
    assert 0 < better_share(a, b, day, np.random.default_rng(6)) < 1
