from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cloud_trainer.backtest import Seen
from cloud_trainer.bundle import BundledModel
from cloud_trainer.candidates import naive_rows, ridge_row, towers_row
from cloud_trainer.form import FormTrial
from cloud_trainer.form_trials import Settled
from cloud_trainer.judge import judged
from cloud_trainer.plan import ModelPlan
from cloud_trainer.run_report import SHOWN, figures, left_out_report, mean_skill, shipped_report
from cloud_trainer.towers import Forecaster, begun
from cloud_trainer.train import Lesson, TrainConfig, Trained, fit_ridge, split
from cloud_trainer.training_report import TrainingReport, encode_report
from cloud_trainer.training_text import report_text
from tests.sim.site_series import HOURLY, rhythm


@pytest.fixture(scope="module")
def trained():
    """Two sites, one a thousand times as large; towers that learnt nothing, and what the ridge says."""
    sites = [replace(rhythm(60), name="home"), replace(rhythm(60, seed=2, level_w=1e6), name="mill")]
    config = TrainConfig(
        spec=HOURLY, target="consumption_w", lesson=Lesson(), seeds=(4, 5), windows_max=400, judged_max=200
    )
    data = split(config, sites)
    validation, test = (judged(HOURLY, sites, "consumption_w", one, 500.0) for one in (data.validation, data.test))
    line = fit_ridge(data)
    one = Forecaster(HOURLY, line, begun(np.random.default_rng(1), 1, 4, 3), 0.0)
    rows = [*naive_rows(validation, test), ridge_row(line, validation, test)]
    rows.append(towers_row("blend", [one, one.blended(0.1)], validation, test, 2.0))
    return ModelPlan(HOURLY, "consumption_w", sites), Trained(
        config, data, one, "blend", "blend is best", rows, validation, test, 3.0
    )


@pytest.fixture(scope="module")
def shipped(trained):
    plan, found = trained
    said_w = found.test.meant_w(found.forecaster.predict(found.data.test))
    scores = found.test.scores(said_w)
    seen = Seen(said_w, said_w, np.ones(len(said_w)), scores, scores)
    model = BundledModel(HOURLY, "consumption_w", b"12345", "int8", "the smallest", [], [], 0.1)
    return shipped_report(plan, found, Settled(model, [FormTrial("int8", 5, 0.1, 0.01)]), seen)


def test_all_who_competed_stay_and_what_ships_is_chosen(shipped):
    roles = {one.name: one.role for one in shipped.candidates}
    assert roles["daily_naive"] == roles["seasonal_naive"] == "baseline"
    assert roles["ridge"] == roles["blend"] == roles["blend, as shipped"] == roles[SHOWN] == "candidate"
    seeds = {one.name: [seed.seed for seed in one.seeds] for one in shipped.candidates}
    assert (seeds["ridge"], seeds["blend"], seeds["blend, as shipped"]) == ([None], [4, 5], [4])
    assert (shipped.chosen, shipped.form, shipped.bytes) == ("blend, as shipped", "int8", 5)
    assert list(shipped.parts) == ["train", "validation", "test"]
    assert shipped.parts["train"].last_us < shipped.parts["validation"].first_us


def test_each_site_has_its_scores_beside_the_naive_ones_and_its_picture(shipped):
    assert [one.site for one in shipped.sites] == ["home", "mill"]
    for one in shipped.sites:
        assert set(one.scores) == {"blend, as shipped", SHOWN, "daily_naive", "seasonal_naive"}
        assert max(one.scores[name].skill for name in ("daily_naive", "seasonal_naive")) == pytest.approx(0.0)
    assert [one.site for one in shipped.samples] == ["home", "mill"]


def test_the_skill_of_several_sites_counts_each_alike(shipped):
    skills = [one.scores[shipped.chosen].skill for one in shipped.sites]
    assert mean_skill(shipped) == pytest.approx(np.mean(skills))
    assert np.isnan(mean_skill(msgspec.structs.replace(shipped, sites=[])))


def test_a_model_that_does_not_ship_says_so_and_keeps_its_rows(trained):
    plan, found = trained
    report = left_out_report(plan, found, "chance")
    assert (report.form, report.bytes, report.chosen_reason) == (None, 0, "chance")
    assert report.chosen in ("daily_naive", "seasonal_naive")
    assert "blend" in {one.name for one in report.candidates}
    whole = TrainingReport("train", 0, "2 sites", [4, 5], {}, [], [report], 1.0, 10**9)
    text = report_text(whole, {})
    assert "### Form" not in text
    assert "chance" in text
    assert b'"form": null' in encode_report(whole)


def test_figures_are_told_in_the_unit_of_a_column(shipped):
    scores = shipped.sites[0].scores[SHOWN]
    in_w, in_kw = figures(scores), figures(scores, watts_per_unit=1_000.0)
    for name in ("mae", "rmse", "pinball"):
        assert in_kw[name] == pytest.approx(in_w[name] / 1_000)
    for name in ("r2", "skill", "coverage"):
        assert in_kw[name] == in_w[name]
