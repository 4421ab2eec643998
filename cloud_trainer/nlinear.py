"""The linear forecaster in closed form: what is ahead as a weighted sum of what lies behind. Pure.

NLinear (Zeng et al., "Are Transformers Effective for Time Series Forecasting?", AAAI 2023) subtracts the last
value and learns one linear map from the window to the horizon. The contract has subtracted it already
(`recent` is `(x - anchor) / scale`), so the map is a ridge regression, solved exactly instead of by descent.

Only sums over the windows are needed. They are formed in float64 over blocks of rows, so a million windows
held in float32 are never held a second time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Floats = F32 | F64
Mask = NDArray[np.bool_]

# The penalties that compete on validation, in mean variances of an input: from hardly any to a strong one.
LAMBDAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# How narrow the map may be, and what that may cost: a part of what two seeds differ by.
RANKS = (4, 8, 12, 16, 24, 32)
RANK_LOSS_MAX = 0.002
# Rows that are widened to float64 at once: 11 MB at a week of quarter hours.
BLOCK_ROWS = 2048


class Windows(NamedTuple):
    """Examples of one forecast: what lay behind each issue instant, and what came."""

    recent: Floats  # [n, inputs], unknown values filled
    targets: Floats  # [n, outputs], NaN where unknown


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map `recent @ weights + bias`, and the penalty it was found with."""

    weights: F64  # [inputs, outputs]
    bias: F64  # [outputs]
    lam: float

    def predict(self, recent: Floats) -> F64:
        """What is ahead of each window, `[n, outputs]`."""
        ahead = np.empty((len(recent), len(self.bias)))
        for rows in _blocks(len(recent)):
            ahead[rows] = recent[rows] @ self.weights + self.bias
        return ahead


@dataclass(frozen=True, slots=True)
class Moments:
    """The sums over windows that a linear map is found from."""

    rows: int
    recent: F64  # [inputs], sum
    gram: F64  # [inputs, inputs], sum of products of inputs
    targets: F64  # [outputs], sum
    product: F64  # [inputs, outputs], sum of products of inputs with targets

    @classmethod
    def of(cls, windows: Windows) -> Self:
        """Sums over windows; an unknown target counts as 0."""
        inputs, outputs = windows.recent.shape[1], windows.targets.shape[1]
        recent, gram = np.zeros(inputs), np.zeros((inputs, inputs))
        targets, product = np.zeros(outputs), np.zeros((inputs, outputs))
        for rows in _blocks(len(windows.recent)):
            x = windows.recent[rows].astype(np.float64)
            y = np.nan_to_num(windows.targets[rows].astype(np.float64), nan=0.0)
            recent += x.sum(axis=0)
            gram += x.T @ x
            targets += y.sum(axis=0)
            product += x.T @ y
        return cls(len(windows.recent), recent, gram, targets, product)

    def __add__(self, other: Self) -> Self:
        """Sums over the windows of both."""
        return replace(
            self,
            rows=self.rows + other.rows,
            recent=self.recent + other.recent,
            gram=self.gram + other.gram,
            targets=self.targets + other.targets,
            product=self.product + other.product,
        )

    def of_outputs(self, outputs: Mask, unknown: Floats) -> Self:
        """What concerns these outputs alone, without the windows `unknown` `[n, inputs]` whose targets count as 0."""
        gone = self.of(Windows(unknown, np.empty((len(unknown), 0))))
        return replace(
            self,
            rows=self.rows - gone.rows,
            recent=self.recent - gone.recent,
            gram=self.gram - gone.gram,
            targets=self.targets[outputs],
            product=self.product[:, outputs],
        )

    def solve(self, lam: float) -> Ridge:
        """The map of least squared error plus `lam` times the mean variance of an input times the squared weights.

        The penalty is relative: it means the same whatever the unit and the number of windows. The bias bears none.
        """
        rows = max(self.rows, 1)
        mean, level = self.recent / rows, self.targets / rows
        covariance = self.gram / rows - np.outer(mean, mean)
        product = self.product / rows - np.outer(mean, level)
        penalty = lam * float(np.trace(covariance)) / len(mean)
        if penalty > 0:
            covariance[np.diag_indices_from(covariance)] += penalty
            weights = np.linalg.solve(covariance, product)
        else:  # perhaps singular: an input that never moves, as the subtracted last value, bears no weight
            weights = np.linalg.lstsq(covariance, product, rcond=None)[0]
        return Ridge(weights, level - mean @ weights, lam)


def ridge(recent: Floats, targets: Floats, lambdas: Sequence[float], validation: Windows) -> Ridge:
    """The linear map whose penalty serves the validation windows best.

    Every output is fitted on the windows whose target it knows, as if it stood alone.

    Args:
        recent: inputs of the training windows, `[n, inputs]`, in the contract's units.
        targets: what came, `[n, outputs]`, in the same units; NaN where unknown.
        lambdas: penalties that compete, in mean variances of an input.
        validation: windows later than the training windows.
    """
    candidates = ridge_path(Windows(recent, targets), lambdas)
    return min(candidates, key=lambda one: mean_squared_error(one.predict(validation.recent), validation.targets))


def reduced(line: Ridge, recent: Floats, rank: int) -> Ridge:
    """`line` through `rank` numbers: of all such maps the one nearest to it over the windows `recent`.

    Reduced-rank regression (Izenman, Journal of Multivariate Analysis 5, 1975), here after the penalty: it
    makes the artefact small. What a site does in half a week moves in few ways.
    """
    moments = Moments.of(Windows(recent, np.empty((len(recent), 0))))
    mean = moments.recent / max(moments.rows, 1)
    spread, axes = np.linalg.eigh(moments.gram / max(moments.rows, 1) - np.outer(mean, mean))
    if spread[-1] <= 0:  # they never move, and the map says its bias whatever its weights
        return line
    # An axis along which the inputs hardly move would be divided by noise.
    spread = np.sqrt(np.maximum(spread, spread[-1] * 1e-9))
    left, size, right = np.linalg.svd((axes * spread).T @ line.weights, full_matrices=False)
    weights = (axes / spread) @ (left[:, :rank] * size[:rank]) @ right[:rank]
    return replace(line, weights=weights, bias=line.bias + mean @ (line.weights - weights))


def reduced_by_validation(line: Ridge, recent: Floats, validation: Windows) -> Ridge:
    """`line` through as few numbers as do not cost it more than `RANK_LOSS_MAX` on the validation windows."""
    enough = mean_squared_error(line.predict(validation.recent), validation.targets) * (1 + RANK_LOSS_MAX)
    for rank in RANKS:
        if rank >= min(line.weights.shape):
            break
        smaller = reduced(line, recent, rank)
        if mean_squared_error(smaller.predict(validation.recent), validation.targets) <= enough:
            return smaller
    return line


def factors(line: Ridge) -> tuple[F64, F64] | None:
    """Two narrow maps in a row, `[inputs, rank]` and `[rank, outputs]`, that are `line`; None: it is smaller."""
    left, size, right = np.linalg.svd(line.weights, full_matrices=False)
    rank = int((size > size[0] * 1e-9).sum())
    inputs, outputs = line.weights.shape
    if rank == 0 or rank * (inputs + outputs) >= inputs * outputs:
        return None
    return left[:, :rank] * np.sqrt(size[:rank]), np.sqrt(size[:rank])[:, np.newaxis] * right[:rank]


def ridge_path(windows: Windows, lambdas: Sequence[float]) -> list[Ridge]:
    """One linear map for each penalty; the sums are formed once."""
    everything = Moments.of(windows)
    inputs, outputs = everything.product.shape
    fits = [Ridge(np.zeros((inputs, outputs)), np.zeros(outputs), lam) for lam in lambdas]
    for unknown, members in _alike(np.isnan(windows.targets)):
        moments = everything.of_outputs(members, windows.recent[unknown])
        for fit in fits:
            part = moments.solve(fit.lam)
            fit.weights[:, members], fit.bias[members] = part.weights, part.bias
    return fits


def mean_squared_error(forecast: F64, targets: Floats) -> float:
    """Over the known targets; infinite where none is known."""
    known = ~np.isnan(targets)
    return float(np.mean((forecast[known] - targets[known]) ** 2)) if known.any() else np.inf


def _alike(unknown: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Outputs `[outputs]` that share their unknown windows `[n]`: all of them, where nothing is missing."""
    patterns, pattern_of = np.unique(unknown, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        yield pattern, np.asarray(pattern_of.ravel() == number)


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(first, first + BLOCK_ROWS) for first in range(0, rows, BLOCK_ROWS))
