"""The step-MLP: small networks that look at every step ahead in the same way, side by side. Pure.

A tower is two dense layers with a straight way around them; several, begun differently, are averaged.
Beside each step's channels it sees the ridge's forecast of that step, and the last values one by one.
What follows the hidden layers is linear, so the mean of the towers, their straight ways and the blend with
the ridge fold into one last layer: this module holds the weights, folds them, and computes with them.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from cloud_trainer.nlinear import Ridge
from cloud_trainer.windows import Windows
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import CHANNELS, F32

# The last values that the towers see one by one: two hours of quarters.
TAIL_STEPS = 8
# Windows whose hidden layers are held at once: 100 MB at three towers of 64 and a day of quarters.
_CHUNK_WINDOWS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Towers:
    """Weights of `k` towers of `width`; `inputs` are the channels of a step and the ridge's forecast of it."""

    enter: F32  # [k, inputs, width]
    enter_bias: F32  # [k, width]
    tail: F32  # [k, TAIL_STEPS, width]
    within: F32  # [k, width, width]
    within_bias: F32  # [k, width]
    leave: F32  # [k, width, quantiles]
    leave_bias: F32  # [k, quantiles]
    straight: F32  # [k, inputs, quantiles]

    @property
    def parameters(self) -> int:
        """How many numbers these are."""
        return sum(getattr(self, field.name).size for field in fields(self))


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """A ridge, towers, and the weight of the towers' median against the ridge's: what becomes an artefact."""

    spec: ForecastSpec
    ridge: Ridge
    towers: Towers
    weight: float

    def blended(self, weight: float) -> "Forecaster":
        """The same with another weight."""
        return replace(self, weight=weight)

    @property
    def head(self) -> tuple[F32, F32]:
        """The last layer over `[hidden of each tower, channels, ridge]`: kernel and bias."""
        towers, median = self.towers, self.spec.median
        count = len(towers.enter)
        # Every quantile moves by as much as the median does towards the ridge.
        mixing = np.eye(len(self.spec.quantiles))
        mixing[median, :] -= 1 - self.weight
        straight = towers.straight.mean(axis=0) @ mixing
        straight[-1] += 1 - self.weight
        leave = (towers.leave @ mixing / count).reshape(-1, mixing.shape[1])
        bias = towers.leave_bias.mean(axis=0) @ mixing
        return np.concatenate([leave, straight]).astype(np.float32), bias.astype(np.float32)

    def predict(self, windows: Windows) -> F32:
        """Scaled quantiles `[n, rows, quantiles]`, not yet in order."""
        kernel, bias = self.head
        output = np.empty((len(windows), self.spec.rows, len(self.spec.quantiles)), np.float32)
        for first in range(0, len(windows), _CHUNK_WINDOWS):
            rows = slice(first, first + _CHUNK_WINDOWS)
            seen = with_ridge(windows.where(rows), self.ridge)
            hidden = _hidden(self.towers, seen, tail_of(windows.recent[rows]))
            output[rows] = np.concatenate([*hidden, seen], axis=-1) @ kernel + bias
        return output


def with_ridge(windows: Windows, ridge: Ridge) -> F32:
    """The channels of each step, and the ridge's forecast of it: `[n, rows, CHANNELS + 1]`."""
    ahead = ridge.predict(windows.recent).astype(np.float32)
    return np.concatenate([windows.steps, ahead[..., np.newaxis]], axis=-1)


def tail_of(recent: F32) -> F32:
    """The last values, `[n, TAIL_STEPS]`."""
    return recent[:, -TAIL_STEPS:]


def begun(rng: np.random.Generator, towers: int, width: int, quantiles: int) -> Towers:
    """Towers that have learnt nothing: Glorot's uniform weights, and no bias."""

    def glorot(*shape: int) -> F32:
        limit = np.sqrt(6 / (shape[-2] + shape[-1]))
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    def zeros(*shape: int) -> F32:
        return np.zeros(shape, np.float32)

    inputs = CHANNELS + 1
    return Towers(
        enter=glorot(towers, inputs, width),
        enter_bias=zeros(towers, width),
        tail=glorot(towers, TAIL_STEPS, width),
        within=glorot(towers, width, width),
        within_bias=zeros(towers, width),
        leave=glorot(towers, width, quantiles),
        leave_bias=zeros(towers, quantiles),
        straight=glorot(towers, inputs, quantiles),
    )


def _hidden(towers: Towers, seen: F32, tail: F32) -> list[F32]:
    """What each tower's hidden layers say of each step, `[n, rows, width]`."""
    found = []
    for number in range(len(towers.enter)):
        entered = seen @ towers.enter[number] + towers.enter_bias[number]
        entered = np.maximum(entered + (tail @ towers.tail[number])[:, np.newaxis], 0)
        found.append(entered + np.maximum(entered @ towers.within[number] + towers.within_bias[number], 0))
    return found
