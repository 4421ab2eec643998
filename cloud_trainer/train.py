"""Training one forecaster: config, data, model, loop, report. Read it from top to bottom.

Several candidates compete on the validation part: a ridge in closed form, towers of a step-MLP taught with
several seeds, their blend, and the naive forecasts that each of them has to beat; where asked for, the
recurrent network that the first designs of this project used. What wins is taught again on training and
validation part together, and is judged on the test part, that nothing was chosen by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cloud_trainer.judge import Judged, absolute_errors, absolute_errors_of, judged
from cloud_trainer.nlinear import LAMBDAS, Ridge, reduced, reduced_by_validation, ridge
from cloud_trainer.nlinear import Windows as RidgeWindows
from cloud_trainer.point import with_band
from cloud_trainer.series import SiteSeries
from cloud_trainer.towers import Forecaster
from cloud_trainer.windows import Windows, joined, origins, windows
from firmware_bridge.clock import SystemClock
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.manifest import ForecastTarget
from gateway.core.scores import Scores, better_share

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


# How much of the towers' median is blended with how much of the ridge's.
BLEND_WEIGHTS = tuple(step / 10 for step in range(11))
# A site's first days tell too little; from here on a window is worth learning from.
FIRST_DAYS = 2
# Better than chance: the share of resampled histories in which the chosen one beats a naive forecast.
BETTER_SHARE_MIN = 0.95


# --- data: three parts of each site's time, a horizon apart


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Windows to learn from, to choose by, and to judge by; and where the parts of each site begin and end."""

    sites: Sequence[SiteSeries]
    train: Windows
    validation: Windows
    test: Windows
    train_sd_w: float


def split(config: TrainConfig, sites: Sequence[SiteSeries]) -> Split:
    """Each site's time in three: what is learnt from ends a horizon before what is chosen by."""
    spec, share = config.spec, 1 / len(sites)
    parts: list[list[Windows]] = [[], [], []]
    spread_w = []
    for number, site in enumerate(sites):
        steps = len(site)
        tested = steps * (1 - config.train_share - config.validation_share)
        if config.test_days_max is not None:
            tested = min(tested, config.test_days_max * spec.day_steps)
        end = int(steps - tested)
        middle = int(end * config.train_share / (config.train_share + config.validation_share))
        spread_w.append(np.nanstd(site.power_w(config.target)[:middle]))
        bounds = (
            (FIRST_DAYS * spec.day_steps, middle, config.windows_max),
            (middle + spec.horizon_steps, end, config.judged_max),
            (end, steps, config.judged_max),
        )
        for part, (first, last, most) in zip(parts, bounds, strict=True):
            at = origins(spec, first, last, max(1, int(most * share)))
            part.append(windows(spec, site, config.target, at, number=number))
    train, validation, test = (joined(part) for part in parts)
    return Split(sites, train, validation, test, float(np.mean(spread_w)))


# --- model: candidates on the validation part


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate, or a naive forecast: what it scored on the validation and on the test part, seed by seed."""

    name: str
    is_naive: bool
    validation: list[Scores]
    test: list[Scores]
    train_s: float = 0.0
    parameters: int | None = None
    # the share of resampled test histories in which the chosen one is better
    beaten_share: float | None = None
    remark: str = ""


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
    """Train on `sites`, whose steps are those of the spec; the same config and data give the same weights."""
    from cloud_trainer.learn import learn  # TensorFlow takes seconds to load, and not everybody has it

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

    # --- loop: the same towers from several beginnings
    taught, tower_s = [], []
    for seed in config.seeds:
        began_s = clock.monotonic_s()
        towers = learn(spec, data.train, line, config.lesson, seed, say)
        tower_s.append(clock.monotonic_s() - began_s)
        taught.append(Forecaster(spec, line, towers, weight=1.0))
        say(f"  towers, seed {seed}: {towers.parameters} weights, {tower_s[-1]:.0f} s")
    weight, losses = choose_weight(taught, validation)
    say("  blend: " + ", ".join(f"{one:g}: {loss:.4f}" for one, loss in zip(BLEND_WEIGHTS, losses, strict=True)))

    # --- report: everybody's row stays
    rows = naive_rows(validation, test)
    rows.append(_ridge_row(line, data, validation, test))
    for name, at in (("step_mlp", 1.0), ("blend", weight)):
        members = [one.blended(at) for one in taught]
        rows.append(_towers_row(name, members, validation, test, float(np.mean(tower_s))))
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
    lesson = replace(config.lesson, batches=round(config.lesson.batches * more))
    towers = learn(spec, both, line, lesson, config.seeds[0], say)
    forecaster = Forecaster(spec, line, towers, weight)
    rows = beaten(rows, forecaster, test)
    return Trained(config, data, forecaster, chosen, reason, rows, validation, test, clock.monotonic_s() - started_s)


def fit_ridge(data: Split) -> Ridge:
    """The ridge whose penalty serves the validation part best, as narrow as that allows."""
    chosen_by = RidgeWindows(data.validation.recent, data.validation.targets)
    line = ridge(data.train.recent, data.train.targets, LAMBDAS, chosen_by)
    return reduced_by_validation(line, data.train.recent, chosen_by)


def choose_weight(taught: Sequence[Forecaster], validation: Judged) -> tuple[float, list[float]]:
    """The weight of the towers with the least pinball loss over all seeds, and the loss of every weight, in W."""
    losses = [
        float(
            np.mean(
                [
                    validation.scores(validation.meant_w(one.blended(at).predict(validation.windows))).pinball_w
                    for one in taught
                ]
            )
        )
        for at in BLEND_WEIGHTS
    ]
    return BLEND_WEIGHTS[int(np.argmin(losses))], losses


def naive_rows(validation: Judged, test: Judged) -> list[Row]:
    """What the naive forecasts score: medians alone, with the band of their errors on the validation part."""
    rows = []
    for name in validation.baselines_w:
        spread = with_band(validation, validation.baselines_w[name])
        rows.append(
            Row(
                name,
                is_naive=True,
                validation=[validation.scores(spread(validation.baselines_w[name], validation))],
                test=[test.scores(spread(test.baselines_w[name], test))],
            )
        )
    return rows


def _ridge_row(line: Ridge, data: Split, validation: Judged, test: Judged) -> Row:
    said = [part.restored(line.predict(part.recent)) for part in (data.validation, data.test)]
    spread = with_band(validation, said[0])
    return Row(
        "ridge",
        is_naive=False,
        validation=[validation.scores(spread(said[0], validation))],
        test=[test.scores(spread(said[1], test))],
        parameters=line.weights.size + line.bias.size,
    )


def _towers_row(name: str, members: Sequence[Forecaster], validation: Judged, test: Judged, train_s: float) -> Row:
    """The same forecaster of each seed."""
    return Row(
        name,
        is_naive=False,
        validation=[validation.scores(validation.meant_w(one.predict(validation.windows))) for one in members],
        test=[test.scores(test.meant_w(one.predict(test.windows))) for one in members],
        train_s=train_s,
        parameters=members[0].towers.parameters + members[0].ridge.weights.size,
    )


def verdict(validation: Judged, winner: Forecaster, weight: float) -> tuple[str, str]:
    """Which candidate ships and why; an empty name when none is better than the naive forecasts beyond chance."""
    name = {0.0: "ridge", 1.0: "step_mlp"}.get(weight, "blend")
    others = {one: absolute_errors_of(validation, said_w) for one, said_w in validation.baselines_w.items()}
    naive, other = min(others.items(), key=lambda one: float(np.nanmean(one[1])))
    error = absolute_errors(validation, validation.meant_w(winner.predict(validation.windows)))
    share = better_share(error, other, validation.day, np.random.default_rng(0))
    reason = (
        f"{name} has the least pinball loss on the validation part (towers weigh {weight:g}, ridge {1 - weight:g}) "
        f"and is better than {naive} in {share:.0%} of resampled histories"
    )
    if share >= BETTER_SHARE_MIN:
        return name, reason
    return "", f"{reason}, less than {BETTER_SHARE_MIN:.0%}: the naive forecasts speak"


def beaten(rows: Sequence[Row], forecaster: Forecaster, test: Judged) -> list[Row]:
    """The rows of the naive forecasts with how often, on the test part, what ships is better."""
    error = absolute_errors(test, test.meant_w(forecaster.predict(test.windows)))
    found = []
    for row in rows:
        share = None
        if row.name in test.baselines_w:
            other = absolute_errors_of(test, test.baselines_w[row.name])
            share = better_share(error, other, test.day, np.random.default_rng(0))
        found.append(replace(row, beaten_share=share))
    return found
