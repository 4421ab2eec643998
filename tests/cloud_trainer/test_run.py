import sys
from dataclasses import replace

import pytest

from cloud_trainer.bundle import CARD_NAME
from cloud_trainer.dataset import Dataset
from cloud_trainer.plan import ModelPlan
from cloud_trainer.run import TEST_DAYS_MAX, Job, Run, config_of, rehearsed, run, training_report, write
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW
from gateway.contract.manifest import MANIFEST_NAME, decode_manifest
from tests.sim.bundled import NAME, bundled
from tests.sim.site_series import rhythm, wandering
from tests.sim.training import training_report as some_report

NOW_US = 1_780_000_000_000_000


def dataset(site):
    return Dataset("a recording", [site], [], [], notes=["a note of the data"])


def test_how_a_model_is_trained_is_what_was_wanted():
    job = Job(seeds=(7, 8), max_epochs=20, draws=6, draws_s_max=600.0, with_lstm=True)
    config = config_of(job, ModelPlan(ENERGY, "production_w", []), models=3)
    assert (config.spec, config.target, config.seeds) == (ENERGY, "production_w", (7, 8))
    assert (config.test_days_max, config.max_epochs, config.lstm_epochs_max) == (TEST_DAYS_MAX, 20, 20)
    assert (config.draws, config.draws_s_max, config.with_lstm) == (6, 200.0, True)


def test_a_rehearsal_has_a_line_for_each_model_and_each_reason():
    site = rhythm(40, LOAD_SLOW)
    job = Job(kinds=("energy_forecast",))
    first, *others = rehearsed(job, dataset(site))
    assert first.startswith("energy_forecast_consumption_96x15min: 1 sites; windows: ")
    assert others == [
        "a note of the data",
        "energy_forecast_production_96x15min is left out: no site has a meter for it",
    ]
    assert "would be left out: too few windows" in rehearsed(job, dataset(rhythm(6, LOAD_SLOW)))[0]


def test_the_report_tells_of_all_models_and_of_those_that_were_left_out():
    done = Run([bundled()], some_report().models, ["x is left out"], 61.0)
    report = training_report(done, Job(seeds=(3,)), dataset(rhythm(40)), "smartwatts-trainer train", NOW_US)
    assert (report.seeds, report.notes, report.train_s, report.created_us) == ([3], ["x is left out"], 61.0, NOW_US)
    assert len(report.models) == 2
    assert report.peak_bytes > 0


@pytest.mark.slow
def test_a_bundle_holds_what_ships_and_what_goes_on_and_is_proven(tmp_path):
    model = replace(bundled(), metrics={"skill": 0.25})
    site, report = rhythm(40, LOAD_SLOW), some_report()
    job = Job(pythons=[sys.executable])
    digest = write(tmp_path / "bundle", [model], report, job, dataset(site))
    manifest = decode_manifest((tmp_path / "bundle" / MANIFEST_NAME).read_bytes())
    assert len(digest) == 64
    assert [one.name for one in manifest.models] == [NAME]
    assert manifest.training.metrics == {f"{NAME}.skill": 0.25}
    assert (manifest.training.first_us, manifest.training.last_us) == (site.start_us, site.end_us)
    assert "## Kept" not in (tmp_path / "bundle" / CARD_NAME).read_text()
    write(tmp_path / "bundle", [], report, job, dataset(site), [model])
    card = (tmp_path / "bundle" / CARD_NAME).read_text()
    assert f"nothing better came: {NAME}." in card
    assert "energy_forecast_consumption" not in card, "what was trained and does not ship"


@pytest.mark.tf
@pytest.mark.slow
def test_what_nobody_can_foretell_ships_nothing_and_says_why():
    said: list[str] = []
    job = Job(kinds=("energy_forecast",), seeds=(1,), max_epochs=1)
    done = run(job, dataset(wandering(40, ENERGY)), said.append)
    assert done.models == []
    assert [one.form for one in done.reports] == [None]
    energy, solar = done.left_out[1], done.left_out[2]
    assert "no site has a meter" in energy + solar
    assert any("energy_forecast_consumption_96x15min is left out" in one for one in done.left_out)
    assert said[0].startswith("seeds 1; Python 3.")
    assert any("peak memory" in line for line in said)
