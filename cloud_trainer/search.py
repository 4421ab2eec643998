"""Other lessons than the usual one, drawn by chance within a time limit: which serves the validation part best.

Each is taught from the first beginning alone and judged as every candidate is, by its best blend with the ridge;
all rows stay in the report. The same seed draws the same lessons; how many of them the time allows is the
machine's. Needs TensorFlow.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from cloud_trainer.candidates import Row, choose_weight, towers_row
from cloud_trainer.judge import Judged
from cloud_trainer.nlinear import Ridge
from cloud_trainer.train import Lesson, TrainConfig, capped, taught_towers
from cloud_trainer.windows import Windows
from firmware_bridge.clock import SystemClock

# What is drawn from. Beyond four towers of 96 a forecaster grows larger than two of them may be.
TOWERS, WIDTHS, BATCH_WINDOWS = (1, 2, 3, 4), (32, 48, 64, 96), (16, 32, 64, 128)
# Rates and lengths are drawn evenly on a scale of logarithms; a length in parts of the usual one.
RATES, LENGTHS = (5e-4, 1e-2), (0.5, 3.0)


def search(
    config: TrainConfig,
    usual: Lesson,
    line: Ridge,
    validation: Judged,
    test: Judged,
    taught_on: Windows,
    say: Callable[[str], None],
) -> tuple[Lesson, list[Row]]:
    """The lesson with the least pinball loss on the validation part, of the usual one and those that are drawn."""
    clock = SystemClock()
    until_s = clock.monotonic_s() + config.draws_s_max
    best, least_w, rows = usual, np.inf, []
    per_weight_s = 0.0
    for number, lesson in enumerate(lessons(usual, config.draws, config.seeds[0])):
        lesson = capped(lesson, len(taught_on), config.max_epochs)
        if number and clock.monotonic_s() + per_weight_s * effort(lesson) > until_s:
            say(f"  search: no time for {described(lesson)}")
            continue
        say(f"  search, {number + 1} of {config.draws}: {described(lesson)}")
        forecaster, took_s = taught_towers(line, taught_on, config.spec, lesson, config.seeds[0], say)
        per_weight_s = max(per_weight_s, took_s / effort(lesson))
        weight, losses = choose_weight([forecaster], validation)
        rows.append(towers_row(f"search {number + 1}", [forecaster.blended(weight)], validation, test, took_s))
        rows[-1] = replace(rows[-1], remark=f"{described(lesson)}, weight {weight:g}")
        if min(losses) < least_w:
            best, least_w = lesson, min(losses)
    say(f"  search: {described(best)} is best")
    return best, rows


def lessons(usual: Lesson, count: int, seed: int) -> Iterator[Lesson]:
    """The usual lesson, and `count - 1` that are drawn."""
    rng = np.random.default_rng([seed, count])
    yield usual
    for _ in range(count - 1):
        batch_windows = int(rng.choice(BATCH_WINDOWS))
        length = float(np.exp(rng.uniform(*np.log(LENGTHS)))) * usual.batches * usual.batch_windows
        yield replace(
            usual,
            towers=int(rng.choice(TOWERS)),
            width=int(rng.choice(WIDTHS)),
            batch_windows=batch_windows,
            batches=max(1, round(length / batch_windows)),
            learning_rate=float(np.exp(rng.uniform(*np.log(RATES)))),
        )


def effort(lesson: Lesson) -> float:
    """What its time grows with: how often how many hidden units look at a window, more where batches are small."""
    return lesson.towers * lesson.width * lesson.batches * (lesson.batch_windows + 16.0)


def described(lesson: Lesson) -> str:
    """In a few words."""
    return (
        f"{lesson.towers} towers of {lesson.width}, {lesson.batches} batches of {lesson.batch_windows}, "
        f"rate {lesson.learning_rate:.2g}"
    )
