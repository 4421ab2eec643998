import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.dataset import known_since, origins, whole, windows, workshop
from cloud_trainer.evaluate import daily_naive, judge, pinball, weekly_naive
from gateway.contract.inputs import DAY_STEPS, HISTORY_STEPS, HORIZON_STEPS, QUANTILES

SITE = workshop(2, 14)
AT = origins(HISTORY_STEPS, 14 * DAY_STEPS)
WINDOWS = windows(SITE, 0, AT, whole(len(AT)))


def as_output(forecast):
    """A forecast without a band."""
    return np.repeat(forecast[..., np.newaxis], len(QUANTILES), axis=-1).astype(np.float32)


def test_a_forecast_that_comes_true_has_no_error():
    found = judge(WINDOWS, as_output(WINDOWS.targets))
    assert found["mae"] == 0
    assert found["pinball"] == 0
    assert (found["skill_daily"], found["skill_weekly"], found["skill_worst_site"]) == (1, 1, 1)
    assert found["coverage_80"] == 1
    assert found["windows"] == len(AT)


@pytest.mark.parametrize(("naive", "name"), [(daily_naive, "daily"), (weekly_naive, "weekly")])
def test_a_naive_forecast_has_no_skill_against_itself(naive, name):
    found = judge(WINDOWS, as_output(naive(WINDOWS)))
    assert found[f"skill_{name}"] == pytest.approx(0, abs=1e-6)
    assert found["mae"] == pytest.approx(found[f"mae_{name}_naive"], rel=1e-6)
    assert found["skill_worst_site"] <= 1e-6


@pytest.mark.parametrize(("naive", "days"), [(daily_naive, 1), (weekly_naive, 7)])
def test_a_naive_forecast_is_the_power_of_that_many_days_before(naive, days):
    zone_without_summer_time = windows(SITE, 0, AT[:5], whole(5))
    forecast_w = naive(zone_without_summer_time)[2] * WINDOWS.scale_w[2] + SITE.power_w[AT[2] - 1]
    first = AT[2] - days * DAY_STEPS
    same = np.isclose(forecast_w, SITE.power_w[first : first + HORIZON_STEPS], rtol=1e-3, atol=1)
    assert same.mean() > 0.95


def test_without_last_week_the_weekly_naive_forecast_is_yesterdays():
    cold = windows(SITE, 0, AT, known_since(np.full(len(AT), 2 * DAY_STEPS)))
    assert (weekly_naive(cold) == daily_naive(cold)).all()


def test_a_band_that_holds_half_of_the_steps_covers_half():
    band = as_output(WINDOWS.targets)
    band[:, ::2] += np.float32([1, 2, 3])
    band[:, 1::2] += np.float32([-1, 0, 1])
    assert judge(WINDOWS, band)["coverage_80"] == 0.5


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3), st.floats(-10, 10))
@settings(max_examples=100)
def test_pinball_is_its_textbook_formula(output, target):
    wanted = np.mean([max(q * (target - y), (q - 1) * (target - y)) for q, y in zip(QUANTILES, output, strict=True)])
    assert pinball(np.array([target]), np.array([output])) == pytest.approx(wanted, abs=1e-9)


def test_a_site_that_is_worse_than_naive_shows_in_the_worst_site_alone():
    two = windows(SITE, 1, AT, whole(len(AT)))
    both = type(two)(
        *(np.concatenate([getattr(WINDOWS, name), getattr(two, name)]) for name in ("inputs", "targets", "scale_w")),
        issued_us=np.concatenate([WINDOWS.issued_us, two.issued_us]),
        site=np.concatenate([WINDOWS.site, two.site]),
    )
    output = np.concatenate([as_output(WINDOWS.targets), as_output(two.targets + 100)])
    found = judge(both, output)
    assert found["skill_worst_site"] < -10
    assert found["skill_mean_site"] == pytest.approx((1 + found["skill_worst_site"]) / 2)
