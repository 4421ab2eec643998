from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.judge import judged
from cloud_trainer.point import with_band
from cloud_trainer.windows import windows
from gateway.contract.forecast_spec import LOAD_SLOW
from tests.sim.site_series import HOURLY, rhythm


def part_of(spec=HOURLY, days=20, seed=1):
    site = rhythm(days, spec, seed=seed)
    origins = np.arange(7 * spec.day_steps, len(site) - spec.horizon_steps, max(1, spec.day_steps // 24))
    some = windows(spec, site, "consumption_w", origins)
    return judged(spec, [site], "consumption_w", some, 500.0)


PART, LATER = part_of(), part_of(seed=2)
LOAD_PART = part_of(LOAD_SLOW)


@given(st.floats(-3_000, 3_000), st.sampled_from(["daily_naive", "last_value"]))
@settings(max_examples=20, deadline=None)
def test_the_median_is_what_was_said_however_wrong_that_is_and_the_band_is_around_it(wrong_w, name):
    said_w = PART.baselines_w[name] + wrong_w
    quantiles_w = with_band(PART, said_w)(LATER.baselines_w[name] + wrong_w, LATER)
    assert quantiles_w.shape == (len(LATER.windows), HOURLY.rows, 3)
    np.testing.assert_array_equal(quantiles_w[..., HOURLY.median], LATER.baselines_w[name] + wrong_w)
    assert (np.diff(quantiles_w, axis=-1) >= 0).all()


@pytest.mark.parametrize(("part", "levels"), [(PART, (0.1, 0.9)), (LOAD_PART, (0.1, 0.9, 0.95))])
def test_as_much_of_the_part_it_is_learnt_on_is_below_each_quantile_as_that_says(part, levels):
    said_w = part.baselines_w["daily_naive"]
    quantiles_w = with_band(part, said_w)(said_w, part)
    for level in levels:
        at = part.spec.quantiles.index(level)
        below = (part.windows.actual_w <= quantiles_w[..., at]).mean(axis=0)
        np.testing.assert_allclose(below, level, atol=0.02)


def test_the_band_is_as_wide_as_a_site_is_restless():
    said_w = PART.baselines_w["daily_naive"]
    spread = with_band(PART, said_w)
    restless = replace(LATER, windows=replace(LATER.windows, scale_w=3 * LATER.windows.scale_w))
    plain_w, wide_w = spread(said_w, LATER), spread(said_w, restless)
    np.testing.assert_allclose(wide_w - said_w[..., np.newaxis], 3 * (plain_w - said_w[..., np.newaxis]), atol=1e-9)


def test_steps_that_do_not_count_teach_nothing_and_a_row_without_any_has_no_band():
    counts = PART.counts.copy()
    counts[:, 5] = False
    counts[::2, 6] = False
    said_w = PART.baselines_w["daily_naive"].copy()
    said_w[~counts] = 1e9
    quantiles_w = with_band(replace(PART, counts=counts), said_w)(PART.baselines_w["daily_naive"], PART)
    odd = PART.where(np.arange(1, len(PART.windows), 2))
    alone_w = with_band(odd, odd.baselines_w["daily_naive"])(PART.baselines_w["daily_naive"], PART)
    assert (np.ptp(quantiles_w[:, 5], axis=-1) == 0).all()
    np.testing.assert_allclose(quantiles_w[:, 6], alone_w[:, 6])
