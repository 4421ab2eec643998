"""Training one forecaster: config, data, model, loop, report. Read it from top to bottom.

Several candidates compete on the validation part: a ridge in closed form, towers of a step-MLP taught with
several seeds, their blend, and the naive forecasts that each of them has to beat; where asked for, the
recurrent network that the first designs of this project used. What wins is taught again on training and
validation part together, and is judged on the test part, that nothing was chosen by.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cloud_trainer.candidates import (
    BLEND_WEIGHTS,
    Row,
    beaten,
    choose_weight,
    naive_rows,
    ridge_row,
    towers_row,
    verdict,
)
from cloud_trainer.judge import Judged, judged
from cloud_trainer.nlinear import LAMBDAS, Ridge, reduced, reduced_by_validation, ridge
from cloud_trainer.nlinear import Windows as RidgeWindows
from cloud_trainer.series import SiteSeries
from cloud_trainer.towers import Forecaster
from cloud_trainer.windows import Windows, joined, origins, windows
from firmware_bridge.clock import SystemClock
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F64
from gateway.contract.manifest import ForecastTarget

Say = Callable[[str], None]

# --- config: everything that decides what comes out


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """How towers are taught."""

    towers: int = 3
    width: int = 64
    batch_windows: int = 32
    batches: int = 1_200
    learning_rate: float = 3e-3
    # what the rate has fallen to at the end, along a cosine
    rate_end_share: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What is trained, on how much of the data, and which candidates compete."""

    spec: ForecastSpec
    target: ForecastTarget
    lesson: Lesson
    # the first one ships; the others tell how much is chance
    seeds: tuple[int, ...] = (1, 2, 3)
    # of the time of each site; the rest is the test part
    train_share: float = 0.7
    validation_share: float = 0.1
    # at most so many days are kept from teaching to judge by; None: all of the rest
    test_days_max: float | None = None
    windows_max: int = 12_000
    judged_max: int = 3_000
    # of the windows to learn from that are shown as at a site that is new, where there are several sites
    short_share: float = 0.2
    # how often a window is seen at most, whatever a lesson says
    max_epochs: int = 100
    # other lessons that compete, and how long they may take
    draws: int = 0
    draws_s_max: float = math.inf
    with_lstm: bool = False
    # the recurrent network: of how many of the seeds, and how long for all of them together
    lstm_seeds_max: int = 1
    lstm_epochs_max: int = 50
    lstm_minutes_max: float = 15.0


def usual_config(spec: ForecastSpec, target: ForecastTarget, *, batches_share: float = 1.0) -> TrainConfig:
    """What serves sites we have seen. Short horizons have few rows a window: they need more of them."""
    if spec.kind == "energy_forecast":
        lesson, windows_max = Lesson(), 12_000
    else:
        lesson, windows_max = Lesson(batches=6_000, batch_windows=64), 40_000
    lesson = replace(lesson, batches=max(1, round(lesson.batches * batches_share)))
    return TrainConfig(spec=spec, target=target, lesson=lesson, windows_max=windows_max)


# A site's first days tell too little; from here on a window is worth learning from.
FIRST_DAYS = 2
# How many days a site that is new may know; before the first of them a gateway asks no model.
SHORT_DAYS = (1.0, 27.0)

# --- data: three parts of each site's time, a horizon apart


class TooLittleDataError(Exception):
    """One of the three parts of the time has no window."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Windows to learn from, to choose by, and to judge by; and where the parts of each site begin and end."""

    sites: Sequence[SiteSeries]
    train: Windows
    validation: Windows
    test: Windows
    train_sd_w: float


def split(config: TrainConfig, sites: Sequence[SiteSeries]) -> Split:
    """Each site's time in three, a horizon apart.

    Raises:
        TooLittleDataError: there is not enough for three parts.
    """
    spec, share = config.spec, 1 / len(sites)
    rng = np.random.default_rng(config.seeds[0])
    parts: list[list[Windows]] = [[], [], []]
    spread_w = []
    for number, site in enumerate(sites):
        end = test_begins(config, len(site))
        middle = int(end * config.train_share / (config.train_share + config.validation_share))
        spread_w.append(np.nanstd(site.power_w(config.target)[:middle]))
        bounds = (
            (FIRST_DAYS * spec.day_steps, middle, config.windows_max),
            (middle + spec.horizon_steps, end, config.judged_max),
            (end + spec.horizon_steps, len(site), config.judged_max),
        )
        for part, (first, last, most) in zip(parts, bounds, strict=True):
            at = origins(spec, first, last, max(1, int(most * share)))
            known_days = None
            if part is parts[0] and len(sites) > 1:
                known_days = _days_known(config.short_share, len(at), rng)
            part.append(windows(spec, site, config.target, at, number=number, history_days=known_days))
    train, validation, test = (joined(part) for part in parts)
    if not (len(train) and len(validation) and len(test)):
        counts = f"{len(train)} to learn from, {len(validation)} to choose by, {len(test)} to judge by"
        raise TooLittleDataError(f"too few windows with enough measured before them: {counts}")
    return Split(sites, train, validation, test, float(np.mean(spread_w)))


def test_begins(config: TrainConfig, steps: int) -> int:
    """The step of a site of `steps` at which the part to judge by begins."""
    tested = steps * (1 - config.train_share - config.validation_share)
    if config.test_days_max is not None:
        tested = min(tested, config.test_days_max * config.spec.day_steps)
    return int(steps - tested)


def _days_known(share: float, count: int, rng: np.random.Generator) -> F64:
    """How many days of history each window is shown: most of them all."""
    is_short = rng.random(count) < share
    return np.where(is_short, rng.uniform(*SHORT_DAYS, count), np.inf)


# --- model: candidates on the validation part


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a run leaves. Without a forecaster nothing was better than the naive forecasts: they speak."""

    config: TrainConfig
    data: Split
    forecaster: Forecaster | None
    chosen: str
    reason: str
    rows: list[Row]
    validation: Judged
    test: Judged
    train_s: float
    notes: list[str] = field(default_factory=list)


def train(config: TrainConfig, sites: Sequence[SiteSeries], say: Say) -> Trained:
    """Train on `sites`, whose steps are those of the spec; the same config and data give the same weights.

    Raises:
        TooLittleDataError: there is not enough for three parts.
    """
    clock = SystemClock()
    started_s = clock.monotonic_s()
    spec = config.spec
    data = split(config, sites)
    say(
        f"  {len(sites)} sites; windows: {len(data.train)} to learn from, {len(data.validation)} to choose by, "
        f"{len(data.test)} to judge by; seeds {', '.join(map(str, config.seeds))}"
    )
    validation, test = (
        judged(spec, sites, config.target, part, data.train_sd_w) for part in (data.validation, data.test)
    )
    line = fit_ridge(data)
    say(f"  ridge: penalty {line.lam:g}, {clock.monotonic_s() - started_s:.0f} s")

    # --- loop: the same towers from several beginnings, by the lesson that serves best
    lesson = capped(config.lesson, len(data.train), config.max_epochs)
    searched: list[Row] = []
    if config.draws:
        from cloud_trainer.search import search

        lesson, searched = search(config, lesson, line, validation, test, data.train, say)
    taught, tower_s = [], []
    for seed in config.seeds:
        forecaster, took_s = taught_towers(line, data.train, config.spec, lesson, seed, say)
        taught.append(forecaster)
        tower_s.append(took_s)
    weight, losses = choose_weight(taught, validation)
    say("  blend: " + ", ".join(f"{one:g}: {loss:.4g}" for one, loss in zip(BLEND_WEIGHTS, losses, strict=True)))

    # --- report: everybody's row stays
    rows = [*naive_rows(validation, test), ridge_row(line, validation, test)]
    for name, at in (("step_mlp", 1.0), ("blend", weight)):
        rows.append(towers_row(name, [one.blended(at) for one in taught], validation, test, float(np.mean(tower_s))))
    rows += searched
    if config.with_lstm:
        from cloud_trainer.lstm import lstm_row

        rows.append(lstm_row(config, data, validation, test, say))
    chosen, reason = verdict(validation, taught[0].blended(weight), weight)
    if not chosen:
        return Trained(config, data, None, chosen, reason, rows, validation, test, clock.monotonic_s() - started_s)

    # --- once more, with what was chosen, on all that may be learnt from
    both = joined([data.train, data.validation])
    more = len(both) / len(data.train)
    rank = int(np.linalg.matrix_rank(line.weights))
    line = ridge(both.recent, both.targets, (line.lam,), RidgeWindows(both.recent[:1], both.targets[:1]))
    line = reduced(line, both.recent, rank)
    lesson = replace(lesson, batches=round(lesson.batches * more))
    forecaster = taught_towers(line, both, spec, lesson, config.seeds[0], say)[0].blended(weight)
    rows = beaten(rows, forecaster, test)
    return Trained(config, data, forecaster, chosen, reason, rows, validation, test, clock.monotonic_s() - started_s)


def capped(lesson: Lesson, windows: int, max_epochs: int) -> Lesson:
    """The lesson, shorter where it would show each of the windows more than `max_epochs` times."""
    most = math.ceil(max_epochs * windows / lesson.batch_windows)
    return replace(lesson, batches=min(lesson.batches, most))


def taught_towers(
    line: Ridge, taught_on: Windows, spec: ForecastSpec, lesson: Lesson, seed: int, say: Say
) -> tuple[Forecaster, float]:
    """Towers beside the ridge, from one beginning, and how many seconds it took."""
    from cloud_trainer.learn import learn  # TensorFlow takes seconds to load, and not everybody has it

    clock = SystemClock()
    began_s = clock.monotonic_s()
    towers = learn(spec, taught_on, line, lesson, seed, say)
    took_s = clock.monotonic_s() - began_s
    say(f"  towers, seed {seed}: {towers.parameters} weights, {took_s:.0f} s")
    return Forecaster(spec, line, towers, weight=1.0), took_s


def fit_ridge(data: Split) -> Ridge:
    """The ridge whose penalty serves the validation part best, as narrow as that allows."""
    chosen_by = RidgeWindows(data.validation.recent, data.validation.targets)
    line = ridge(data.train.recent, data.train.targets, LAMBDAS, chosen_by)
    return reduced_by_validation(line, data.train.recent, chosen_by)
