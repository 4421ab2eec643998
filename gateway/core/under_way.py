"""Issues whose steps are not over: what was said of each, until it is known what came. Pure."""

from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F32, F64, I64, Mask

# Of the issues of an hour one is remembered: those between say nearly the same.
ISSUE_EVERY_US = DAY_US // 24


class UnderWayError(ValueError):
    """The bytes are no issues of this spec."""


class SavedIssues(msgspec.Struct, frozen=True, array_like=True):
    """Issues as bytes: little-endian int64 and float32, in C order."""

    start_us: bytes
    said_w: bytes
    came_w: bytes


class Told(NamedTuple):
    """What is known since a step is over: of `n` pairs the row of the spec, what was said, and what came."""

    rows: I64  # [n]
    said_w: F32  # [n, width]
    came_w: F32  # [n]


class UnderWay:
    """At most one issue an hour, `width` numbers a row; a row of NaN was not said."""

    def __init__(self, spec: ForecastSpec, width: int) -> None:
        self._spec = spec
        self._start_us: I64 = np.zeros(0, dtype=np.int64)  # [issues], rising
        self._said_w: F32 = np.zeros((0, spec.rows, width), dtype=np.float32)
        self._came_w: F32 = np.zeros((0, spec.horizon_steps), dtype=np.float32)  # NaN: not yet, or unknown

    def wants(self, start_us: int) -> bool:
        """Whether an issue from `start_us` is to be added: the last hour has none."""
        if self._start_us.size and start_us < self._start_us[-1]:
            self.forget()  # the clock was set back
        return not self._start_us.size or start_us >= self._start_us[-1] + ISSUE_EVERY_US

    def add(self, start_us: int, said_w: F64) -> None:
        """Remember what is said, `[rows, width]`, of the steps from `start_us`; what is over is dropped."""
        self._keep(self._start_us + self._spec.horizon_steps * self._spec.step_us > start_us)
        unknown = np.full((1, self._spec.horizon_steps), np.nan, dtype=np.float32)
        self._start_us = np.append(self._start_us, np.int64(start_us))
        self._said_w = np.concatenate([self._said_w, said_w[np.newaxis].astype(np.float32)])
        self._came_w = np.concatenate([self._came_w, unknown])

    def observe(self, step_start_us: int, actual_w: float) -> Told:
        """The step from `step_start_us` is over, NaN: nobody knows what came. Each step is told once, in its order.

        With it, a horizon whose steps are all known tells its peak.
        """
        lead = (step_start_us - self._start_us) // self._spec.step_us
        issues = np.flatnonzero((lead >= 0) & (lead < self._spec.horizon_steps))
        issues = issues[np.isnan(self._came_w[issues, lead[issues]])]
        if np.isnan(actual_w):
            issues = issues[:0]
        rows = lead[issues]
        self._came_w[issues, rows] = actual_w
        told = Told(rows, self._said_w[issues, rows], self._came_w[issues, rows])
        if not self._spec.has_peak:
            return told
        ended = issues[~np.isnan(self._came_w[issues]).any(axis=-1)]
        peak_w = self._came_w[ended].max(axis=-1)
        return Told(
            np.append(told.rows, np.full(ended.size, self._spec.horizon_steps)),
            np.concatenate([told.said_w, self._said_w[ended, -1]]),
            np.append(told.came_w, peak_w),
        )

    def forget(self) -> None:
        """The clock was set: which steps were meant is no longer known."""
        self._keep(np.zeros(self._start_us.size, dtype=np.bool_))

    def save(self) -> SavedIssues:
        """The issues as bytes."""
        return SavedIssues(
            to_bytes(self._start_us, "<i8"), to_bytes(self._said_w, "<f4"), to_bytes(self._came_w, "<f4")
        )

    @classmethod
    def restore(cls, saved: SavedIssues, spec: ForecastSpec, width: int) -> Self:
        """The issues in `saved`.

        Raises:
            UnderWayError: they are not of this shape.
        """
        made = cls(spec, width)
        issues = len(saved.start_us) // 8
        made._start_us = from_bytes(saved.start_us, "<i8", (issues,))
        made._said_w = from_bytes(saved.said_w, "<f4", (issues, spec.rows, width))
        made._came_w = from_bytes(saved.came_w, "<f4", (issues, spec.horizon_steps))
        if (np.diff(made._start_us) < ISSUE_EVERY_US).any():
            raise UnderWayError("the issues under way are not an hour apart")
        return made

    def _keep(self, which: Mask) -> None:
        self._start_us = self._start_us[which]
        self._said_w = self._said_w[which]
        self._came_w = self._came_w[which]


class Steps(NamedTuple):
    """The steps that issues have in common: when each begins, and what came."""

    start_us: I64
    came_w: F64


def steps_of(spec: ForecastSpec, actual_w: F64, issued_us: I64) -> Steps:
    """Each step once, in order, of actuals `[issues, rows]` or `[issues, horizon_steps]`."""
    target_us = issued_us[:, np.newaxis] + np.arange(spec.horizon_steps, dtype=np.int64) * spec.step_us
    start_us, first = np.unique(target_us, return_index=True)
    return Steps(start_us, actual_w[:, : spec.horizon_steps].ravel()[first])


def to_bytes(values: NDArray[Any], kind: str) -> bytes:
    """`values` in C order as numbers of `kind`."""
    return np.ascontiguousarray(values, dtype=kind).tobytes()


def from_bytes(data: bytes, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array in `data`, to be changed.

    Raises:
        UnderWayError: it has another number of elements than `shape`.
    """
    wanted = int(np.prod(shape)) * np.dtype(kind).itemsize
    if len(data) != wanted:
        raise UnderWayError(f"{len(data)} bytes where {wanted} are meant")
    return np.frombuffer(data, dtype=kind).reshape(shape).astype(np.dtype(kind).newbyteorder("="))
