"""Rolling calibration: the outer quantiles of a forecaster, widened or narrowed by what came of them. Pure.

An online quantile tracker (adaptive conformal inference: Gibbs and Candès 2021, Angelopoulos et al. 2023).
Each row and outer quantile has one offset, in the unit of the history's scale. An actual beyond the quantile
moves it outwards, one within it inwards, in the ratio that keeps it still when it is passed as often as it
says. No weights change, no residuals are kept, and a forecaster of which nothing is known yet is left as it
is. The median stays.

Measured against quantiles of the residuals of 28 days on four recorded test parts: it covers as well, with a
pinball loss that is lower by up to 2 %, in a twentieth of the state.
"""

from typing import Self

import msgspec
import numpy as np

from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F64, I64
from gateway.core.under_way import SavedIssues, Told, UnderWay, UnderWayError, from_bytes, steps_of, to_bytes

# How far one actual moves an offset, in scales. The first offsets are found in days, from then on a faster
# tracker would follow noise.
RATE_START, RATE_LATER = 0.03, 0.002
RATE_HALVED_AFTER = 48
# From here on the rate is the later one: no need to count on.
UPDATES_MAX = 1000
# Beyond this a forecaster is wrong about more than its band.
OFFSET_SCALES_MAX = 2.0
# A day of 96 steps with 24 issues under way is 40 kB.
CALIBRATION_BYTES_MAX = 128 * 1024


class CalibrationError(ValueError):
    """The bytes are no calibration of this forecaster: begin without."""


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="calibration_1"):
    of: str
    offsets: bytes
    updates: bytes
    issues: SavedIssues


_DECODER = msgspec.msgpack.Decoder(_Saved)


class Calibration:
    """What was learnt of the band of one forecaster, and the issues it still learns from."""

    def __init__(self, spec: ForecastSpec) -> None:
        self._spec = spec
        self._levels = np.asarray(spec.quantiles)
        self._moves = self._levels != 0.5
        self._offsets: F64 = np.zeros((spec.rows, self._levels.size))  # in scales
        self._updates: I64 = np.zeros(spec.rows, dtype=np.int64)
        self._issues = UnderWay(spec, self._levels.size)

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
            self._issues.add(start_us, np.where(is_band, self.adjust(quantiles_w, scale_w), np.nan))

    def observe(self, step_start_us: int, actual_w: float) -> None:
        """The step from `step_start_us` is over; NaN: nobody knows what came. Steps are told in their order."""
        told = self._issues.observe(step_start_us, actual_w)
        if told.rows.size:
            self._learn(told)

    def forget_issued(self) -> None:
        """The clock was set: which steps the issues under way meant is no longer known."""
        self._issues.forget()

    def encode(self, of: str) -> bytes:
        """The state as bytes; `of` names the forecaster it belongs to."""
        saved = _Saved(of, to_bytes(self._offsets, "<f8"), to_bytes(self._updates, "<i8"), self._issues.save())
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
            made._updates = from_bytes(saved.updates, "<i8", made._updates.shape)
            made._issues = UnderWay.restore(saved.issues, spec, made._levels.size)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError, UnderWayError) as error:
            raise CalibrationError(f"the calibration cannot be read: {error}") from error
        if saved.of != of:
            raise CalibrationError(f"the calibration is that of {saved.of:.80}, not of {of}")
        counts_fit = ((made._updates >= 0) & (made._updates <= UPDATES_MAX)).all()
        if not (np.abs(made._offsets) <= OFFSET_SCALES_MAX).all() or not counts_fit:
            raise CalibrationError("the calibration holds what cannot have been learnt")
        made._offsets[:, ~made._moves] = 0.0
        return made

    def _learn(self, told: Told) -> None:
        certain = np.isnan(told.said_w[:, 0])
        rows, said_w, came_w = (one[~certain] for one in told)
        rate = np.maximum(RATE_LATER, RATE_START / (1 + self._updates[rows] / RATE_HALVED_AFTER))
        self._updates[rows] = np.minimum(self._updates[rows] + 1, UPDATES_MAX)
        # The edge belongs to the band, on either side.
        came_w = came_w[:, np.newaxis]
        below = np.where(self._levels < 0.5, came_w < said_w, came_w <= said_w)
        moved = self._offsets[rows] + rate[:, np.newaxis] * (self._levels - below) * self._moves
        self._offsets[rows] = np.clip(moved, -OFFSET_SCALES_MAX, OFFSET_SCALES_MAX)


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
