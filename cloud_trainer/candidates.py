"""Who competes to be a forecaster, what each scored, and the rule by which one is chosen. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cloud_trainer.judge import Judged, absolute_errors, absolute_errors_of, losses_w, site_weights
from cloud_trainer.nlinear import Ridge
from cloud_trainer.point import with_band
from cloud_trainer.towers import Forecaster
from gateway.core.scores import Scores, better_share

# How much of the towers' median is blended with how much of the ridge's.
BLEND_WEIGHTS = tuple(step / 10 for step in range(11))
# Better than chance: the share of resampled histories in which the chosen one beats a naive forecast.
BETTER_SHARE_MIN = 0.95


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


def choose_weight(taught: Sequence[Forecaster], validation: Judged) -> tuple[float, list[float]]:
    """The weight of the towers with the least pinball loss over all seeds, and the loss of every weight, in W.

    Each site counts alike.
    """
    by_site = site_weights(validation)

    def loss_w(one: Forecaster) -> float:
        return float(np.nanmean(losses_w(validation, validation.meant_w(one.predict(validation.windows))) * by_site))

    losses = [float(np.mean([loss_w(one.blended(at)) for one in taught])) for at in BLEND_WEIGHTS]
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


def ridge_row(line: Ridge, validation: Judged, test: Judged) -> Row:
    """The ridge alone, with the band of its errors on the validation part."""
    said = [part.restored(line.predict(part.recent)) for part in (validation.windows, test.windows)]
    spread = with_band(validation, said[0])
    return Row(
        "ridge",
        is_naive=False,
        validation=[validation.scores(spread(said[0], validation))],
        test=[test.scores(spread(said[1], test))],
        parameters=line.weights.size + line.bias.size,
    )


def towers_row(name: str, members: Sequence[Forecaster], validation: Judged, test: Judged, train_s: float) -> Row:
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
    by_site = site_weights(validation)
    others = {one: absolute_errors_of(validation, said_w) * by_site for one, said_w in validation.baselines_w.items()}
    naive, other = min(others.items(), key=lambda one: float(np.nanmean(one[1])))
    error = absolute_errors(validation, validation.meant_w(winner.predict(validation.windows))) * by_site
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
    by_site = site_weights(test)
    error = absolute_errors(test, test.meant_w(forecaster.predict(test.windows))) * by_site
    found = []
    for row in rows:
        share = None
        if row.name in test.baselines_w:
            other = absolute_errors_of(test, test.baselines_w[row.name]) * by_site
            share = better_share(error, other, test.day, np.random.default_rng(0))
        found.append(replace(row, beaten_share=share))
    return found
