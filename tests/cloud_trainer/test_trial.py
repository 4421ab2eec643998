"""Bundles of the models that ship, on a home of the simulator."""

from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.bundle import write_bundle
from cloud_trainer.dataset import Dataset
from cloud_trainer.judge import losses_w, site_weights
from cloud_trainer.sources.generated import home
from cloud_trainer.trial import ModelDuel, _better, duel, forecasts, part_of, read_manifest, tried
from firmware_bridge.errors import NotFoundError, SettingError
from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW
from gateway.contract.manifest import Training, forecast_name
from tests.sim.bundled import FACTORY, bundled
from tests.sim.starter_bundle import copy_starter

SLOW, FINE = (forecast_name(spec, "consumption_w") for spec in (LOAD_SLOW, LOAD))


@pytest.fixture(scope="module")
def dataset():
    site = replace(home(3, 40), name="home")
    return Dataset("a home", [site], [], [])


@pytest.fixture(scope="module")
def slow_only(tmp_path_factory):
    """A bundle of the smallest model alone."""
    folder = tmp_path_factory.mktemp("bundle") / "slow"
    write_bundle(folder, [bundled()], Training("", "", 0, 0, {}), "A card.\n", created_us=0)
    return folder


def test_a_bundle_says_what_it_can_be_asked_for(slow_only):
    assert forecasts(read_manifest(slow_only)) == [(LOAD_SLOW, "consumption_w")]
    assert (ENERGY, "production_w") in forecasts(read_manifest(FACTORY))


def test_what_is_no_bundle_of_ours_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"manifest.json|cannot be read"):
        read_manifest(tmp_path)
    bundle = copy_starter(tmp_path)
    manifest = bundle / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"schema": 2', b'"schema": 1'))
    with pytest.raises(SettingError, match="train it anew"):
        read_manifest(bundle)


def test_the_part_to_judge_by_is_the_last_of_the_time(dataset):
    part = part_of(LOAD_SLOW, "consumption_w", dataset)
    (site,) = part.sites
    issued_us = part.judged.windows.issued_us
    assert issued_us.min() > site.start_us + 0.79 * (site.end_us - site.start_us)
    assert issued_us.max() == site.end_us - LOAD_SLOW.horizon_steps * LOAD_SLOW.step_us
    assert part_of(LOAD, "consumption_w", dataset) is None, "its steps are too coarse"
    assert part_of(ENERGY, "production_w", dataset) is None, "it has no panels"


def test_finer_steps_serve_the_model_that_needs_them(dataset):
    both = replace(dataset, fine_sites=[home(3, 40, step_us=LOAD.step_us)])
    assert part_of(LOAD, "consumption_w", both).sites[0].step_us == LOAD.step_us
    assert part_of(LOAD_SLOW, "consumption_w", both).sites[0] is dataset.sites[0]


@pytest.mark.slow
def test_a_bundle_is_scored_on_each_site_that_has_what_it_forecasts(slow_only, dataset):
    (found,) = tried(slow_only, dataset)
    assert (found.model, found.site) == (SLOW, "home")
    assert found.said.issues == found.shown.issues > 500
    assert found.said.skill > 0
    assert found.shown.mae_w <= found.said.mae_w * 1.05


@pytest.mark.slow
def test_where_a_bundle_has_no_model_naive_forecasts_stand_for_it(slow_only, dataset, tmp_path):
    fewer = duel(copy_starter(tmp_path), slow_only, dataset)
    assert [one.model for one in fewer.models] == [forecast_name(ENERGY, "consumption_w"), SLOW]
    day, hour = fewer.models
    assert (hour.a_better_share, hour.b_better_share) == (0.0, 0.0), "the same model"
    assert day.a_mae_w != day.b_mae_w
    assert day.a_better_share + day.b_better_share == pytest.approx(1.0)
    same = duel(slow_only, slow_only, dataset)
    assert same.better == "neither"


def one_duel(a_share, b_share):
    return ModelDuel("m", 1, 1.0, 1.0, 1.0, 1.0, a_share, b_share)


@pytest.mark.parametrize(
    ("shares", "better"),
    [
        ([(0.0, 1.0)], "b"),
        ([(0.97, 0.03)], "a"),
        ([(0.06, 0.94)], "neither"),
        ([(0.0, 1.0), (0.5, 0.5)], "b"),
        ([(0.0, 1.0), (0.96, 0.04)], "neither"),
        ([(0.0, 0.0)], "neither"),
        ([(float("nan"), float("nan"))], "neither"),
        ([], "neither"),
    ],
)
def test_a_bundle_is_better_when_a_model_is_and_none_of_the_other(shares, better):
    assert _better([one_duel(*one) for one in shares]) == better


def test_losses_are_those_of_the_steps_that_count(dataset):
    part = part_of(LOAD_SLOW, "consumption_w", dataset).judged
    flat = np.repeat(part.baselines_w["daily_naive"][..., np.newaxis], len(LOAD_SLOW.quantiles), axis=-1)
    losses = losses_w(part, flat)
    assert losses.shape == (len(part.windows), LOAD_SLOW.horizon_steps)
    assert np.isnan(losses).sum() == (~part.counts[:, :4]).sum()
    assert (site_weights(part) == 1).all()
    assert np.nanmean(losses) == pytest.approx(part.scores(flat).pinball_w)
