from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest

from cloud_trainer import judge as module
from cloud_trainer.judge import YARDSTICKS, absolute_errors, absolute_errors_of, best_yardstick, judged, past_of
from cloud_trainer.windows import joined, windows
from gateway.contract.forecast_spec import load_spec
from gateway.core.baseline import BASELINES, median_w
from gateway.core.forecast import within_physics
from gateway.core.scores import mae
from tests.sim.site_series import BERLIN, HOUR_US, HOURLY, rhythm

PEAK = load_spec(HOUR_US, 4)
AT = np.arange(20 * 24, 32 * 24)


def part_of(spec=HOURLY, target="consumption_w", *, sites=None, at=AT, known_days=None):
    sites = sites or [rhythm(36, spec, solar=True)]
    some = joined([windows(spec, site, target, at, number=number) for number, site in enumerate(sites)])
    return judged(spec, sites, target, some, 500.0, known_days=known_days), sites


def scaled(part, seed=1):
    """What some model might say."""
    shape = (len(part.windows), part.spec.rows, len(part.spec.quantiles))
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_what_panels_are_said_to_give_is_nothing_at_night_and_no_less_than_nothing_by_day():
    part, (site,) = part_of(target="production_w")
    meant_w = part.meant_w(scaled(part))
    is_night = part.possible.highest_w == 0
    ahead = (part.windows.issued_us[:, np.newaxis] - site.start_us) // HOUR_US + np.arange(24)
    assert site.production_w[ahead][is_night].max() < 0.05 * site.production_w.max()
    assert 0.3 < is_night.mean() < 0.6
    assert not meant_w[is_night].any()
    assert meant_w[~is_night].min() == 0
    assert meant_w.max() > 0


def test_consumption_is_not_said_to_be_below_the_least_that_was_seen_nor_a_peak_below_its_steps():
    site = rhythm(36, PEAK)
    for lowest_w in (300.0, -200.0):
        power_w = np.maximum(site.consumption_w, lowest_w)
        power_w[100] = lowest_w
        part, _ = part_of(PEAK, sites=[replace(site, consumption_w=power_w)])
        meant_w = part.meant_w(scaled(part))
        assert meant_w.min() == min(lowest_w, 0.0)
        assert (meant_w[:, -1] >= meant_w[:, :-1].max(axis=1)).all()


@pytest.mark.parametrize(("spec", "target"), [(HOURLY, "production_w"), (PEAK, "consumption_w")])
def test_a_gateway_means_and_compares_with_the_same_one_window_at_a_time(spec, target, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_WINDOWS", 50)
    part, (site,) = part_of(spec, target)
    meant_w, restored_w = part.meant_w(scaled(part)), np.sort(part.windows.restored(scaled(part)), axis=-1)
    assert set(part.baselines_w) == set(BASELINES[target])
    for row in range(0, len(part.windows), 17):
        past = past_of(spec, site, target, part.windows.issued_us[row : row + 1], None)
        np.testing.assert_array_equal(meant_w[row], within_physics(spec, target, restored_w[row : row + 1], past)[0])
        for name, said_w in part.baselines_w.items():
            np.testing.assert_array_equal(said_w[row], median_w(name, spec, past)[0])


def test_a_past_ends_where_the_forecast_is_issued_and_is_unknown_before_the_site_was():
    site = rhythm(36)
    past = past_of(HOURLY, site, "consumption_w", site.start_us + np.array([5, 800]) * HOUR_US, None)
    np.testing.assert_array_equal(past.power_w[0, -5:], site.consumption_w[:5])
    assert past.known.sum(axis=-1).tolist() == [5, 28 * 24]
    np.testing.assert_array_equal(past.power_w[1], site.consumption_w[800 - 28 * 24 : 800])


def test_skill_is_measured_against_yesterday_and_last_week_alone():
    part, _ = part_of()
    assert "last_value" in part.baselines_w
    assert "last_value" not in YARDSTICKS["consumption_w"]
    perfect = replace(part, baselines_w=part.baselines_w | {"last_value": part.windows.actual_w})
    scores = perfect.scores(perfect.meant_w(scaled(part)))
    assert set(scores.baseline_mae_w) == {"daily_naive", "seasonal_naive"}
    best_w = min(mae(part.baselines_w[name], part.windows.actual_w) for name in scores.baseline_mae_w)
    assert scores.skill == pytest.approx(1 - scores.mae_w / best_w)
    assert scores.mae_sd == pytest.approx(scores.mae_w / 500)


def test_of_production_the_sky_as_it_is_counts_too_and_nights_do_not():
    part, _ = part_of(target="production_w")
    scores = part.scores(part.meant_w(scaled(part)))
    assert set(scores.baseline_mae_w) == {"smart_persistence", "daily_naive", "seasonal_naive"}
    by_day = part.possible.highest_w > 0
    np.testing.assert_array_equal(part.counts, by_day)
    said_w = part.meant_w(scaled(part))[..., 1]
    assert scores.mae_w == pytest.approx(np.abs(said_w - part.windows.actual_w)[by_day].mean())


def test_what_nobody_measured_does_not_count():
    site = rhythm(36, PEAK)
    site.consumption_w[600] = np.nan
    part, _ = part_of(PEAK, sites=[site])
    assert not part.counts.all()
    np.testing.assert_array_equal(part.counts, np.isfinite(part.windows.actual_w))
    meant_w = part.meant_w(scaled(part))
    errors_w = absolute_errors(part, meant_w)
    assert errors_w.shape == (len(part.windows), PEAK.horizon_steps)
    np.testing.assert_array_equal(np.isfinite(errors_w), part.counts[:, :4])
    np.testing.assert_array_equal(errors_w, absolute_errors_of(part, meant_w[..., PEAK.median]))


def test_a_day_is_one_of_the_sites_own_calendar():
    part, _ = part_of()
    local = [datetime.fromtimestamp(one / 1e6, BERLIN).date() for one in part.windows.issued_us.tolist()]
    assert part.day.tolist() == [(one - date(1970, 1, 1)).days for one in local]


def test_at_a_site_that_is_new_the_baselines_know_as_little_as_the_model():
    new, _ = part_of(at=AT[:100], known_days=3.0)
    part, _ = part_of(at=AT[:100])
    np.testing.assert_array_equal(new.baselines_w["seasonal_naive"], new.baselines_w["daily_naive"])
    np.testing.assert_array_equal(new.baselines_w["daily_naive"], part.baselines_w["daily_naive"])
    assert new.where(slice(5)).known_days == 3.0


def test_each_site_is_judged_by_its_own_past_and_some_windows_as_among_all():
    sites = [rhythm(36, seed=seed, level_w=800 * seed, solar=True) for seed in (1, 2)]
    both, _ = part_of(target="production_w", sites=sites)
    for number, site in enumerate(sites):
        alone, _ = part_of(target="production_w", sites=[site])
        here = both.where(both.windows.site == number)
        np.testing.assert_array_equal(here.counts, alone.counts)
        np.testing.assert_array_equal(here.day, alone.day)
        np.testing.assert_array_equal(here.meant_w(scaled(alone)), alone.meant_w(scaled(alone)))
        for name, said_w in alone.baselines_w.items():
            np.testing.assert_array_equal(here.baselines_w[name], said_w)


def test_the_best_yardstick_is_the_one_with_the_least_error():
    part, _ = part_of()
    assert best_yardstick(part) == part.scores(part.meant_w(scaled(part))).baseline
