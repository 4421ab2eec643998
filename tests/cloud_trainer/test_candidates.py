from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.candidates import (
    BLEND_WEIGHTS,
    beaten,
    choose_weight,
    naive_rows,
    ridge_row,
    towers_row,
    verdict,
)
from cloud_trainer.judge import judged
from cloud_trainer.nlinear import LAMBDAS, Windows, ridge
from cloud_trainer.towers import Forecaster, begun
from cloud_trainer.windows import windows
from tests.sim.site_series import HOURLY, rhythm


def part_of(site, first, end):
    some = windows(HOURLY, site, "consumption_w", np.arange(first * 24, end * 24 - 23, 3))
    return judged(HOURLY, [site], "consumption_w", some, 500.0)


@pytest.fixture(scope="module")
def parts():
    """A site in three parts, and forecasters that learnt nothing but the ridge."""
    site = rhythm(90)
    learnt, validation, test = (part_of(site, *ends) for ends in ((5, 50), (51, 70), (70, 90)))
    few = validation.windows
    seen = learnt.windows
    line = ridge(seen.recent, seen.targets, LAMBDAS, Windows(few.recent, few.targets))
    return validation, test, [says_the_last_value(line, and_more) for and_more in (0.0, 0.2)]


def says_the_last_value(line, and_more):
    """Towers that learnt nothing, and one of which is a little off."""
    towers = begun(np.random.default_rng(1), 1, 4, 3)
    towers = replace(
        towers, leave=0 * towers.leave, straight=0 * towers.straight, leave_bias=towers.leave_bias + and_more
    )
    return Forecaster(HOURLY, line, towers, 1.0)


def test_the_blend_is_the_one_with_the_least_pinball_loss_over_all_seeds(parts):
    validation, _, untaught = parts
    weight, losses = choose_weight(untaught, validation)
    assert weight == BLEND_WEIGHTS[int(np.argmin(losses))]
    assert weight < 0.5, "towers that learnt nothing weigh little"
    for at in (0, 10):
        alone = [
            validation.scores(validation.meant_w(one.blended(BLEND_WEIGHTS[at]).predict(validation.windows)))
            for one in untaught
        ]
        assert losses[at] == pytest.approx(np.mean([one.pinball_w for one in alone]))


def test_naive_forecasts_are_scored_as_they_are_with_a_band_from_the_validation_part(parts):
    validation, test, _ = parts
    rows = {row.name: row for row in naive_rows(validation, test)}
    assert set(rows) == set(validation.baselines_w)
    for name, row in rows.items():
        assert row.is_naive
        error_w = np.abs(test.baselines_w[name] - test.windows.actual_w).mean()
        assert row.test[0].mae_w == pytest.approx(error_w)
        # each row of the band is learnt there; its median stays where it was
        assert row.validation[0].coverage == pytest.approx(0.8, abs=0.06)


def test_the_ridge_has_a_row_and_towers_have_one_score_for_each_seed(parts):
    validation, test, untaught = parts
    line = untaught[0].ridge
    row = ridge_row(line, validation, test)
    said_w = test.windows.restored(line.predict(test.windows.recent))
    assert row.test[0].mae_w == pytest.approx(np.abs(said_w - test.windows.actual_w).mean())
    assert row.parameters == line.weights.size + line.bias.size
    towers = towers_row("step_mlp", untaught, validation, test, 3.0)
    assert (towers.name, len(towers.validation), len(towers.test), towers.train_s) == ("step_mlp", 2, 2, 3.0)
    assert towers.test[0].mae_w != towers.test[1].mae_w


def test_what_is_better_than_every_naive_forecast_ships_under_the_name_of_its_weight(parts):
    validation, _, untaught = parts
    chosen, reason = verdict(validation, untaught[0].blended(0.0), 0.0)
    assert chosen == "ridge"
    assert reason.startswith("ridge has the least pinball loss on the validation part (towers weigh 0, ridge 1)")
    assert reason.endswith("is better than seasonal_naive in 100% of resampled histories")
    assert verdict(validation, untaught[0].blended(0.0), 0.3)[0] == "blend"
    assert verdict(validation, untaught[0].blended(0.0), 1.0)[0] == "step_mlp"


def test_what_is_not_better_than_the_best_naive_forecast_beyond_chance_does_not_ship(parts):
    validation, _, untaught = parts
    perfect = replace(validation, baselines_w=validation.baselines_w | {"last_value": validation.windows.actual_w})
    for part, winner in ((perfect, untaught[0].blended(0.0)), (validation, untaught[0].blended(1.0))):
        chosen, reason = verdict(part, winner, winner.weight)
        assert chosen == ""
        assert reason.endswith("less than 95%: the naive forecasts speak")


def test_the_rows_of_naive_forecasts_tell_how_often_they_are_beaten(parts):
    validation, test, untaught = parts
    line = untaught[0].ridge
    rows = [*naive_rows(validation, test), ridge_row(line, validation, test)]
    found = {row.name: row.beaten_share for row in beaten(rows, untaught[0].blended(0.0), test)}
    assert found.pop("ridge") is None
    assert set(found) == {"seasonal_naive", "daily_naive", "last_value"}
    assert min(found.values()) > 0.95
