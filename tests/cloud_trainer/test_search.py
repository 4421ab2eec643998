from dataclasses import replace

import pytest

from cloud_trainer.judge import judged
from cloud_trainer.search import BATCH_WINDOWS, LENGTHS, RATES, TOWERS, WIDTHS, described, effort, lessons, search
from cloud_trainer.train import Lesson, fit_ridge, split
from tests.sim.site_series import HOURLY, rhythm
from tests.sim.trained import CONFIG

USUAL = Lesson(towers=2, width=8, batches=10)


def test_the_usual_lesson_comes_first_and_the_same_seed_draws_the_same():
    drawn = list(lessons(USUAL, 20, seed=3))
    assert drawn[0] == USUAL
    assert drawn == list(lessons(USUAL, 20, seed=3))
    assert drawn[1:] != list(lessons(USUAL, 20, seed=4))[1:]
    assert len(set(drawn)) == 20


def test_what_is_drawn_is_within_bounds():
    usual = Lesson(batches=1_000, batch_windows=32)
    for one in list(lessons(usual, 200, seed=1))[1:]:
        assert (one.towers in TOWERS, one.width in WIDTHS, one.batch_windows in BATCH_WINDOWS) == (True, True, True)
        assert RATES[0] <= one.learning_rate <= RATES[1]
        length = one.batches * one.batch_windows / 32_000
        assert LENGTHS[0] - 0.01 < length < LENGTHS[1] + 0.01
        assert one.rate_end_share == usual.rate_end_share


def test_effort_grows_with_everything_that_takes_time():
    for more in ({"towers": 4}, {"width": 16}, {"batches": 20}, {"batch_windows": 64}):
        assert effort(replace(USUAL, **more)) > effort(USUAL)
    assert described(USUAL) == "2 towers of 8, 10 batches of 32, rate 0.003"


@pytest.mark.tf
def test_the_lesson_that_serves_the_validation_part_best_is_found_in_the_time_there_is():
    site = rhythm(50)
    config = replace(CONFIG, windows_max=200, judged_max=60, lesson=USUAL, draws=3)
    data = split(config, [site])
    line = fit_ridge(data)
    validation, test = (
        judged(HOURLY, [site], "consumption_w", part, data.train_sd_w) for part in (data.validation, data.test)
    )
    said: list[str] = []
    best, rows = search(config, USUAL, line, validation, test, data.train, said.append)
    drawn = list(lessons(USUAL, 3, config.seeds[0]))
    assert [row.name for row in rows] == ["search 1", "search 2", "search 3"]
    least = min(range(3), key=lambda number: rows[number].validation[0].pinball_w)
    assert best == drawn[least]
    assert rows[least].remark.startswith(described(best))
    hasty = replace(config, draws_s_max=0.0)
    best, rows = search(hasty, USUAL, line, validation, test, data.train, said.append)
    assert (best, len(rows)) == (USUAL, 1)
    assert f"  search: no time for {described(drawn[1])}" in said
