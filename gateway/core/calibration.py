"""Rolling calibration: the outer quantiles of a forecaster, widened or narrowed by what came of them. Pure.

An online quantile tracker (adaptive conformal inference: Gibbs and Candès 2021, Angelopoulos et al. 2023).
Each row and outer quantile has one offset, in the unit of the history's scale. An actual beyond the quantile
moves it outwards, one within it inwards, in the ratio that keeps it still when it is passed as often as it
says. A step is a part of the row's mean absolute error; it is larger while a quantile has been passed too
often or too seldom for weeks, over all rows. No weights change, no residuals are kept, and a forecaster of
which nothing is known yet is left as it is. The median stays.

Measured on four recorded test parts, with the band as it was made and with one of 0.4 times that: coverage
0.80-0.82 and 0.77-0.80 (0.77-0.84 and 0.44-0.55 before), pinball loss within 0.1 % of before, or lower.
Quantiles of the residuals of 28 days cover as well, with a loss up to 2 % higher, in twenty times the state.
"""

from typing import Self

import msgspec
import numpy as np

from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F64, I64
from gateway.core.under_way import (
    ISSUE_EVERY_US,
    SavedIssues,
    Told,
    UnderWay,
    UnderWayError,
    from_bytes,
    steps_of,
    to_bytes,
)

# How far one actual moves an offset, in mean absolute errors; more for each 1 that the share of actuals below a
# quantile is off, beyond what is chance, in the mean of two weeks.
RATE, RATE_PER_DRIFT, DRIFT_MIN = 0.005, 1.0, 0.02
DRIFT_US = 14 * DAY_US
# The mean absolute error is that of the last fifty hours or so.
ERRORS_KEPT = 50
# Beyond this a forecaster is wrong about more than its band; so is one whose errors are.
OFFSET_SCALES_MAX, ERROR_SCALES_MAX = 3.0, 10.0
# A day of 96 steps with 24 issues under way is 50 kB.
CALIBRATION_BYTES_MAX = 128 * 1024


class CalibrationError(ValueError):
    """The bytes are no calibration of this forecaster: begin without."""


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="calibration_1"):
    of: str
    offsets: bytes
    errors: bytes
    counts: bytes
    drift: bytes
    issues: SavedIssues


_DECODER = msgspec.msgpack.Decoder(_Saved)


class Calibration:
    """What was learnt of the band of one forecaster, and the issues it still learns from."""

    def __init__(self, spec: ForecastSpec) -> None:
        self._spec = spec
        self._levels = np.asarray(spec.quantiles)
        self._moves = self._levels != 0.5
        self._offsets: F64 = np.zeros((spec.rows, self._levels.size))  # in scales
        self._errors: F64 = np.zeros(spec.rows)  # mean absolute error of the median, in scales
        self._counts: F64 = np.zeros(spec.rows)  # actuals in it, up to ERRORS_KEPT
        self._drift: F64 = np.zeros((2, self._levels.size))  # level minus share below, of late: of steps, of peaks
        # the quantiles, and the scale
        self._issues = UnderWay(spec, self._levels.size + 1)

    def adjust(self, quantiles_w: F64, scale_w: F64 | float) -> F64:
        """`quantiles_w` `[..., rows, quantiles]` moved by what was learnt so far; in order, the median unmoved.

        A row whose quantiles are all equal is certain (panels at night) and stays.
        """
        scale = np.asarray(scale_w, dtype=np.float64)[..., np.newaxis, np.newaxis]
        is_band = quantiles_w[..., :1] < quantiles_w[..., -1:]
        moved = np.where(is_band, quantiles_w + self._offsets * scale, quantiles_w)
        middle = self._spec.median
        below = np.minimum.accumulate(moved[..., middle::-1], axis=-1)[..., ::-1]
        above = np.maximum.accumulate(moved[..., middle:], axis=-1)
        return np.concatenate([below[..., :-1], above], axis=-1)

    def issue(self, start_us: int, quantiles_w: F64, scale_w: float) -> None:
        """Remember what is said of the steps from `start_us`: `[rows, quantiles]` *before* they are adjusted.

        One issue an hour teaches. Rows that are certain do not.
        """
        if self._issues.wants(start_us):
            is_band = quantiles_w[:, :1] < quantiles_w[:, -1:]
            scale = np.full((self._spec.rows, 1), scale_w)
            said = np.concatenate([self.adjust(quantiles_w, scale_w), scale], axis=1)
            self._issues.add(start_us, np.where(is_band, said, np.nan))

    def observe(self, step_start_us: int, actual_w: float) -> None:
        """The step from `step_start_us` is over; NaN: nobody knows what came. Steps are told in their order."""
        told = self._issues.observe(step_start_us, actual_w)
        is_certain, is_peak = np.isnan(told.said_w[:, 0]), told.rows == self._spec.horizon_steps
        self._learn(Told(*(one[~is_certain & ~is_peak] for one in told)), self._drift[0], self._spec.step_us)
        self._learn(Told(*(one[~is_certain & is_peak] for one in told)), self._drift[1], ISSUE_EVERY_US)

    def forget_issued(self) -> None:
        """The clock was set: which steps the issues under way meant is no longer known."""
        self._issues.forget()

    def encode(self, of: str) -> bytes:
        """The state as bytes; `of` names the forecaster it belongs to."""
        saved = _Saved(
            of,
            offsets=to_bytes(self._offsets, "<f8"),
            errors=to_bytes(self._errors, "<f8"),
            counts=to_bytes(self._counts, "<f8"),
            drift=to_bytes(self._drift, "<f8"),
            issues=self._issues.save(),
        )
        return msgspec.msgpack.encode(saved)

    @classmethod
    def decode(cls, data: bytes, spec: ForecastSpec, of: str) -> Self:
        """The state in `data`.

        Raises:
            CalibrationError: damaged, too large, or of another forecaster than `of`.
        """
        if len(data) > CALIBRATION_BYTES_MAX:
            raise CalibrationError(f"a calibration of {len(data)} bytes: more than {CALIBRATION_BYTES_MAX}")
        made = cls(spec)
        try:
            saved = _DECODER.decode(data)
            made._offsets = from_bytes(saved.offsets, "<f8", made._offsets.shape)
            made._errors = from_bytes(saved.errors, "<f8", made._errors.shape)
            made._counts = from_bytes(saved.counts, "<f8", made._counts.shape)
            made._drift = from_bytes(saved.drift, "<f8", made._drift.shape)
            made._issues = UnderWay.restore(saved.issues, spec, made._levels.size + 1)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError, UnderWayError) as error:
            raise CalibrationError(f"the calibration cannot be read: {error}") from error
        if saved.of != of:
            raise CalibrationError(f"the calibration is that of {saved.of:.80}, not of {of}")
        if not made._is_possible():
            raise CalibrationError("the calibration holds what cannot have been learnt")
        made._offsets[:, ~made._moves] = 0.0
        return made

    def _learn(self, told: Told, drift: F64, every_us: int) -> None:
        """Move the offsets of the rows of `told`; `drift` is changed in place, by what is told `every_us`."""
        if told.rows.size == 0:
            return
        said_w, came_w = told.said_w.astype(np.float64), told.came_w[:, np.newaxis].astype(np.float64)
        said_w, scale_w = said_w[:, :-1], said_w[:, -1]
        error = np.abs(came_w[:, 0] - said_w[:, self._spec.median]) / np.where(scale_w > 0, scale_w, np.inf)
        self._counts[told.rows] = np.minimum(self._counts[told.rows] + 1, ERRORS_KEPT)
        change = np.minimum(error, ERROR_SCALES_MAX) - self._errors[told.rows]
        self._errors[told.rows] += change / self._counts[told.rows]
        # The edge belongs to the band, on either side.
        off = self._levels - np.where(self._levels < 0.5, came_w < said_w, came_w <= said_w)
        drift += (off.mean(axis=0) - drift) * every_us / DRIFT_US
        rate = RATE + RATE_PER_DRIFT * np.maximum(np.abs(drift) - DRIFT_MIN, 0.0)
        moved = self._offsets[told.rows] + rate * self._moves * self._errors[told.rows, np.newaxis] * off
        self._offsets[told.rows] = np.clip(moved, -OFFSET_SCALES_MAX, OFFSET_SCALES_MAX)

    def _is_possible(self) -> bool:
        bounds = (
            (self._offsets, -OFFSET_SCALES_MAX, OFFSET_SCALES_MAX),
            (self._errors, 0.0, ERROR_SCALES_MAX),
            (self._counts, 0.0, ERRORS_KEPT),
            (self._drift, -1.0, 1.0),
        )
        return all(bool(((values >= low) & (values <= high)).all()) for values, low, high in bounds)


def calibrate_series(
    spec: ForecastSpec,
    quantiles_w: F64,
    actual_w: F64,
    scale_w: F64,
    issued_us: I64,
    warm: Calibration | None = None,
) -> tuple[F64, Calibration]:
    """What a device would have said issue by issue, and what it knows in the end.

    Args:
        spec: what is forecast.
        quantiles_w: of the model, `[issues, rows, quantiles]`.
        actual_w: what came, NaN where unknown, `[issues, rows]` or `[issues, horizon_steps]`.
        scale_w: of the history behind each issue, `[issues]`.
        issued_us: where the histories end, rising, `[issues]`.
        warm: what the device knows before, changed in place; None: nothing.
    """
    state = Calibration(spec) if warm is None else warm
    steps = steps_of(spec, actual_w, issued_us)
    over = np.searchsorted(steps.start_us, issued_us)
    adjusted = np.empty_like(quantiles_w, dtype=np.float64)
    told = 0
    for i, now_us in enumerate(issued_us.tolist()):
        for step in range(told, int(over[i])):
            state.observe(int(steps.start_us[step]), float(steps.came_w[step]))
        told = int(over[i])
        adjusted[i] = state.adjust(quantiles_w[i], scale_w[i])
        state.issue(now_us, quantiles_w[i], float(scale_w[i]))
    return adjusted, state
