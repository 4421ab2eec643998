from dataclasses import fields, replace

import numpy as np
import pytest

from cloud_trainer import train as module
from cloud_trainer.towers import Towers
from cloud_trainer.train import FIRST_DAYS, Lesson, TooLittleDataError, capped, split, train, usual_config
from gateway.contract.forecast_spec import ENERGY, LOAD
from tests.sim.site_series import HOUR_US, HOURLY, rhythm, wandering
from tests.sim.trained import CONFIG, once_more, trained

SITE = rhythm(50)


def issued(part, number=0):
    """The steps of the site that windows of `part` were issued at."""
    return (part.issued_us[part.site == number] - SITE.start_us) // HOUR_US


def test_the_parts_lie_a_horizon_apart_and_what_is_judged_by_comes_last():
    data = split(CONFIG, [SITE])
    learnt, chosen, tested = (issued(part) for part in (data.train, data.validation, data.test))
    ahead = HOURLY.horizon_steps
    assert learnt.min() == FIRST_DAYS * 24
    assert learnt.max() + ahead == 0.7 * 50 * 24
    assert chosen.min() == learnt.max() + 2 * ahead
    assert chosen.max() + ahead == 0.8 * 50 * 24
    assert tested.min() == chosen.max() + 2 * ahead
    assert tested.max() + ahead == 50 * 24
    assert data.train_sd_w == pytest.approx(np.std(SITE.consumption_w[: 35 * 24]))


def test_no_more_windows_are_taken_than_asked_for_and_of_each_site_as_many():
    data = split(replace(CONFIG, windows_max=100, judged_max=30), [SITE, rhythm(60, seed=2)])
    assert [int((data.train.site == number).sum()) for number in (0, 1)] == [50, 50]
    assert len(data.test) == 30


def test_where_several_sites_teach_some_windows_are_shown_as_at_a_site_that_is_new():
    config = replace(CONFIG, short_share=0.5)
    alone, both = split(config, [SITE]), split(config, [SITE, SITE])
    late = issued(alone.train) > 30 * 24, issued(both.train) > 30 * 24
    assert (alone.train.channel("weekday_known")[late[0]] == 1).all()
    known = both.train.channel("weekday_known")[both.train.site == 0][late[1]]
    assert 0.2 < (known.min(axis=-1) < 1).mean() < 0.8
    assert (both.test.channel("lag_7d_known") == 1).all()


def test_little_may_be_kept_from_teaching():
    config = replace(CONFIG, test_days_max=5)
    assert module.test_begins(config, 50 * 24) == 45 * 24
    assert module.test_begins(CONFIG, 50 * 24) == 40 * 24
    assert issued(split(config, [SITE]).test).min() == 45 * 24 + HOURLY.horizon_steps


def test_too_little_for_three_parts_is_said():
    with pytest.raises(TooLittleDataError, match=r"too few windows .* 0 to choose by"):
        split(CONFIG, [SITE.part(0, 7 * 24)])
    nothing = replace(SITE, consumption_w=np.where(np.arange(len(SITE)) < 900, SITE.consumption_w, np.nan))
    with pytest.raises(TooLittleDataError):
        split(CONFIG, [nothing])


def test_a_usual_lesson_fits_the_horizon_and_is_capped_by_epochs():
    energy, load = (usual_config(spec, "consumption_w", batches_share=0.5) for spec in (ENERGY, LOAD))
    assert (energy.lesson.batches, load.lesson.batches) == (600, 3_000)
    assert load.windows_max > energy.windows_max
    lesson = Lesson(batches=1_000, batch_windows=32)
    assert capped(lesson, 320, 5).batches == 50
    assert capped(lesson, 320_000, 5) == lesson


@pytest.mark.tf
def test_what_is_trained_on_a_site_with_a_rhythm_is_better_than_every_naive_forecast():
    run = trained()
    assert run.chosen in ("ridge", "step_mlp", "blend")
    assert run.forecaster is not None
    rows = {row.name: row for row in run.rows}
    assert set(rows) == {"seasonal_naive", "daily_naive", "last_value", "ridge", "step_mlp", "blend"}
    assert [len(rows[name].test) for name in ("ridge", "step_mlp", "blend")] == [1, 2, 2]
    assert all(rows[name].beaten_share > 0.95 for name in run.test.baselines_w)
    scores = run.test.scores(run.test.meant_w(run.forecaster.predict(run.data.test)))
    assert scores.skill > 0.1
    assert 0.65 < scores.coverage < 0.95


@pytest.mark.tf
def test_the_same_config_and_data_give_the_same_weights_to_the_last_bit():
    one, same = trained().forecaster, once_more().forecaster
    assert one.weight == same.weight
    assert one.ridge.weights.tobytes() == same.ridge.weights.tobytes()
    for field in fields(Towers):
        assert getattr(one.towers, field.name).tobytes() == getattr(same.towers, field.name).tobytes()


@pytest.mark.tf
def test_where_nothing_can_be_foretold_the_naive_forecasts_speak_and_all_rows_stay():
    config = replace(
        CONFIG, seeds=(1,), lesson=replace(CONFIG.lesson, batches=30), with_lstm=True, lstm_minutes_max=0
    )
    said: list[str] = []
    run = train(config, [wandering(80)], said.append)
    assert run.chosen == ""
    assert run.forecaster is None
    assert run.reason.endswith("less than 95%: the naive forecasts speak")
    assert [row.name for row in run.rows if not row.is_naive] == ["ridge", "step_mlp", "blend", "lstm"]
    assert "seed 1: 1 epochs, until its 0 min were over" in run.rows[-1].remark
    assert any("seeds 1" in line for line in said)
    assert any("blend: 0: " in line for line in said)
