"""Rolling calibration: the outer quantiles of a forecaster, widened or narrowed by what came of them. Pure.

An online quantile tracker (adaptive conformal inference, Gibbs and Candès 2021; Angelopoulos et al. 2023):
for each row and outer quantile one offset, in the unit of the history's scale. An actual beyond the quantile
moves it outwards by `rate * (1 - miss share wanted)`, one within it inwards by the rest, so that in the long
run each quantile is passed as often as it says. No weights change, no residuals are kept, and a forecaster
of which nothing is known yet is left as it is.

The median stays. Chosen over quantiles of the residuals of 28 days: on four recorded test parts it covers as
well, with a lower pinball loss and a twentieth of the state.
"""

from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F32, F64, I64, Mask

# One issue an hour teaches; those between say nearly the same.
LEARN_EVERY_US = DAY_US // 24
# The first offsets are found in days, later ones follow slowly: a faster tracker follows noise. Per issue, in scales.
RATE_START, RATE_LATER = 0.03, 0.002
RATE_HALVED_AFTER = 48
# Beyond this a forecaster is wrong about more than its band.
OFFSET_SCALES_MAX = 2.0
# A day of 96 steps with 25 issues under way is 40 kB.
CALIBRATION_BYTES_MAX = 128 * 1024
# The name of a model in a bundle, with the digest of the bundle.
OF_CHARACTERS_MAX = 200


class CalibrationError(ValueError):
    """The bytes are no calibration of this forecaster: begin without."""


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="calibration_1"):
    of: str
    step_us: int
    offsets: bytes
    updates: bytes
    start_us: bytes
    said_w: bytes
    came_w: bytes


class Calibration:
    """What was learnt of the band of one forecaster, and the issues whose steps are not over."""

    def __init__(self, spec: ForecastSpec) -> None:
        self.spec = spec
        levels = len(spec.quantiles)
        self._levels = np.asarray(spec.quantiles)
        self._moves = np.arange(levels) != spec.median
        self.offsets: F64 = np.zeros((spec.rows, levels))  # in scales
        self._updates: I64 = np.zeros(spec.rows, dtype=np.int64)
        self._start_us: I64 = np.zeros(0, dtype=np.int64)  # [issues], rising
        self._said_w: F32 = np.zeros((0, spec.rows, levels), dtype=np.float32)
        self._came_w: F32 = np.zeros((0, spec.horizon_steps), dtype=np.float32)  # NaN: not yet, or unknown

    def adjust(self, quantiles_w: F64, scale_w: F64 | float) -> F64:
        """`quantiles_w` `[..., rows, quantiles]` with the offsets learnt so far, in order, the median unmoved.

        A row whose quantiles are all equal is certain (panels at night) and stays.
        """
        scale = np.asarray(scale_w, dtype=np.float64)[..., np.newaxis, np.newaxis]
        is_band = quantiles_w[..., :1] < quantiles_w[..., -1:]
        moved = np.where(is_band, quantiles_w + self.offsets * scale, quantiles_w)
        middle = self.spec.median
        below = np.minimum.accumulate(moved[..., middle::-1], axis=-1)[..., ::-1]
        above = np.maximum.accumulate(moved[..., middle:], axis=-1)
        return np.concatenate([below[..., :-1], above], axis=-1)

    def issue(self, start_us: int, quantiles_w: F64, scale_w: float) -> None:
        """Remember what is said of the steps from `start_us`, before adjustment, unless the last hour has one."""
        if self._start_us.size and start_us < self._start_us[-1]:
            self.forget_issued()
        if self._start_us.size and start_us < self._start_us[-1] + LEARN_EVERY_US:
            return
        self._drop_finished(start_us)
        said = self.adjust(quantiles_w, scale_w)
        # A certain row teaches nothing: neither are its offsets used.
        said = np.where(quantiles_w[:, :1] < quantiles_w[:, -1:], said, np.nan)
        self._start_us = np.append(self._start_us, start_us)
        self._said_w = np.concatenate([self._said_w, said[np.newaxis].astype(np.float32)])
        unknown = np.full((1, self.spec.horizon_steps), np.nan, dtype=np.float32)
        self._came_w = np.concatenate([self._came_w, unknown])

    def observe(self, step_start_us: int, actual_w: float) -> None:
        """The step from `step_start_us` is over; NaN: nobody knows what came. Steps are told in their order."""
        lead = (step_start_us - self._start_us) // self.spec.step_us
        issues = np.flatnonzero((lead >= 0) & (lead < self.spec.horizon_steps))
        issues = issues[np.isnan(self._came_w[issues, lead[issues]])]  # told twice, learnt once
        if issues.size == 0 or np.isnan(actual_w):
            return
        self._came_w[issues, lead[issues]] = actual_w
        self._learn(lead[issues], self._said_w[issues, lead[issues]], np.full(issues.size, actual_w))
        if self.spec.has_peak:
            ended = issues[lead[issues] == self.spec.horizon_steps - 1]
            ended = ended[~np.isnan(self._came_w[ended]).any(axis=-1)]
            self._learn(np.full(ended.size, -1), self._said_w[ended, -1], self._came_w[ended].max(axis=-1))

    def forget_issued(self) -> None:
        """The clock was set: which steps the issues under way meant is no longer known."""
        self._keep(np.zeros(self._start_us.size, dtype=np.bool_))

    def encode(self, of: str) -> bytes:
        """The state as bytes; `of` names the forecaster it belongs to."""
        arrays = (self.offsets, self._updates, self._start_us, self._said_w, self._came_w)
        data = [np.ascontiguousarray(one.astype(one.dtype.newbyteorder("<"))).tobytes() for one in arrays]
        return msgspec.msgpack.encode(_Saved(of, self.spec.step_us, *data))

    @classmethod
    def decode(cls, data: bytes, spec: ForecastSpec, of: str) -> Self:
        """The state in `data`.

        Raises:
            CalibrationError: damaged, too large, or of another forecaster than `of`.
        """
        if len(data) > CALIBRATION_BYTES_MAX:
            raise CalibrationError(f"a calibration of {len(data)} bytes: more than {CALIBRATION_BYTES_MAX}")
        try:
            saved = _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
            raise CalibrationError(f"the calibration cannot be read: {error}") from error
        if (saved.of, saved.step_us) != (of, spec.step_us):
            raise CalibrationError(f"the calibration is that of {saved.of:.{OF_CHARACTERS_MAX}}, not of {of}")
        made = cls(spec)
        rows, levels, steps = spec.rows, len(spec.quantiles), spec.horizon_steps
        issues = len(saved.start_us) // 8
        made.offsets = _array(saved.offsets, "<f8", (rows, levels)).astype(np.float64)
        made._updates = _array(saved.updates, "<i8", (rows,)).astype(np.int64)
        made._start_us = _array(saved.start_us, "<i8", (issues,)).astype(np.int64)
        made._said_w = _array(saved.said_w, "<f4", (issues, rows, levels)).astype(np.float32)
        made._came_w = _array(saved.came_w, "<f4", (issues, steps)).astype(np.float32)
        made._check()
        return made

    def _learn(self, rows: I64, said_w: F32, actual_w: F64) -> None:
        """Move the offsets of `rows` `[n]` by what was said `[n, quantiles]` and came `[n]`."""
        certain = np.isnan(said_w[:, 0])
        rows, said_w, actual_w = rows[~certain], said_w[~certain], actual_w[~certain, np.newaxis].astype(np.float32)
        rate = np.maximum(RATE_LATER, RATE_START / (1 + self._updates[rows] / RATE_HALVED_AFTER))
        self._updates[rows] += 1
        # The edge belongs to the band, on either side.
        within = np.where(self._levels < 0.5, actual_w < said_w, actual_w <= said_w)
        moved = self.offsets[rows] + rate[:, np.newaxis] * (self._levels - within) * self._moves
        self.offsets[rows] = np.clip(moved, -OFFSET_SCALES_MAX, OFFSET_SCALES_MAX)

    def _drop_finished(self, now_us: int) -> None:
        self._keep(self._start_us + self.spec.horizon_steps * self.spec.step_us > now_us)

    def _keep(self, which: Mask) -> None:
        self._start_us, self._said_w, self._came_w = (
            self._start_us[which],
            self._said_w[which],
            self._came_w[which],
        )

    def _check(self) -> None:
        """Whether a decoded state can have been one of ours."""
        offsets_fit = (
            bool((np.abs(self.offsets) <= OFFSET_SCALES_MAX).all()) and not self.offsets[:, ~self._moves].any()
        )
        if not offsets_fit or (self._updates < 0).any() or (np.diff(self._start_us) < LEARN_EVERY_US).any():
            raise CalibrationError("the calibration holds what cannot have been learnt")


_DECODER = msgspec.msgpack.Decoder(_Saved)


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
    target_us = issued_us[:, np.newaxis] + np.arange(spec.horizon_steps, dtype=np.int64) * spec.step_us
    step_us, first = np.unique(target_us, return_index=True)
    came_w = actual_w[:, : spec.horizon_steps].ravel()[first]
    told = 0
    adjusted = np.empty_like(quantiles_w)
    for i, (now_us, over) in enumerate(zip(issued_us.tolist(), np.searchsorted(step_us, issued_us), strict=True)):
        for step in range(told, int(over)):
            state.observe(int(step_us[step]), float(came_w[step]))
        told = int(over)
        adjusted[i] = state.adjust(quantiles_w[i], scale_w[i])
        state.issue(now_us, quantiles_w[i], float(scale_w[i]))
    return adjusted, state


def _array(data: bytes, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if len(data) != int(np.prod(shape)) * np.dtype(kind).itemsize:
        raise CalibrationError(f"the calibration has {len(data)} bytes where {shape} numbers are meant")
    return np.frombuffer(data, dtype=kind).reshape(shape)
