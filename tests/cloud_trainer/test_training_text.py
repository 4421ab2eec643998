import math

import pytest
from msgspec.structs import replace

from cloud_trainer.training_text import candidates_table, cell, number, report_text
from gateway.contract.forecast_spec import ENERGY
from tests.sim.training import model_report, training_report


def test_the_report_tells_of_every_site_candidate_form_and_picture():
    report = training_report()
    text = report_text(report, {model.name: [f"{model.name}.png"] for model in report.models})
    for model in report.models:
        assert f"## {model.name}" in text
        assert f"![{model.name}.png]({model.name}.png)" in text
        assert model.form_reason in text
        for trial in model.forms:
            assert trial.problem in text
    for site in report.sites:
        assert cell(site.name) in text
        for finding in site.findings:
            assert cell(finding.found) in text
    assert report.notes[0] in text
    assert "nan" not in text


def test_losers_stay_and_several_seeds_have_a_spread():
    model = model_report()
    rows = candidates_table(model).splitlines()[2:]
    assert len(rows) == len(model.candidates)
    assert "| **blend** |" in rows[0] or "| **blend** |" in rows[1]
    lstm = next(row for row in rows if "lstm" in row)
    assert lstm.count("±") == 6
    assert "| 100% |" in lstm
    assert rows[-1].startswith("| daily_naive |")
    assert "±" not in rows[-1]


def test_a_run_without_candidates_that_finished_is_still_a_report():
    model = replace(model_report(ENERGY), candidates=[], samples=[], sites=[], forms=[])
    report = replace(training_report(), models=[model], sites=[], notes=[])
    assert "| energy_forecast_consumption_96x15min | blend | – |" in report_text(report, {})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (0.0, "0"),
        (1234.5, "1,234"),
        (0.01234, "0.0123"),
        (-1.5, "-1.50"),
    ],
)
def test_numbers_have_few_digits_and_a_dash_where_there_is_none(value, said):
    assert number(value) == said


def test_foreign_text_stays_in_its_cell():
    assert cell("a | b\nc\t`d`") == "a \\| b c `d`"
