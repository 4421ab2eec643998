from msgspec.structs import replace

from cloud_trainer.model_card import model_card
from cloud_trainer.training_text import candidates_table
from tests.sim.training import training_report


def test_the_card_says_what_for_from_what_how_good_and_how_to_make_it_again():
    report = training_report()
    card = model_card(report)
    for model in report.models:
        assert f"## {model.name}" in card
        assert candidates_table(model) in card
        assert model.form_reason in card
    for wanted in (
        f"    {report.command}\n",
        "Used: 1 of 2 sites",
        "| too_short | error | 1 |",
        "seeds 1, 2, 3",
        "after rolling calibration",
    ):
        assert wanted in card


def test_the_card_names_no_site():
    card = model_card(training_report())
    assert "Bakery" not in card
    assert "Shed" not in card


def test_a_card_of_one_model_without_findings_or_replay():
    report = training_report()
    model = replace(report.models[0], samples=[])
    sites = [replace(site, findings=[], is_used=True) for site in report.sites]
    card = model_card(replace(report, models=[model], sites=sites))
    assert card.startswith("# Model card\n\nOne forecaster made on")
    assert "which found nothing" in card
    assert "as trained." in card
