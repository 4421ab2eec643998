from cloud_trainer.model_card import model_card
from gateway.contract.manifest import Training


def test_the_card_says_how_the_model_was_made_and_how_good_it_is():
    training = Training(
        command="smartwatts-trainer train --seed 9",
        data="three sheds",
        first_us=1_704_067_200_000_000,
        last_us=1_704_153_600_000_000,
        metrics={"mae": 0.25, "skill_daily": -0.5},
    )
    card = model_card(training, model_bytes=123)
    for wanted in ("`smartwatts-trainer train --seed 9`", "three sheds", "2024-01-01 to 2024-01-02", "123 bytes"):
        assert wanted in card
    assert "| mae | 0.25 |\n| skill_daily | -0.5 |" in card
