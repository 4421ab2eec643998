"""The inputs of the forecaster: from a week of slots to the tensor, and from its output to watts. Pure.

One function serves one window on the gateway and a million in training, so that the two can never
disagree. Everything here is SI before `scale_window` and after `restore_w`; nothing else scales.
Slots are aligned to the UTC epoch; lags and calendar follow the *local wall time* of the site, so a
day with 23 or 25 hours takes "the same slot yesterday" from the right place.

Arrays: time is the last axis of histories (contiguous, float64: reductions run along it), and the
last but one of the tensor, float32 `[..., HORIZON_STEPS, CHANNELS]`, as TFLite wants it.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

STEP_US = 15 * 60 * 1_000_000
DAY_STEPS = 96
HISTORY_STEPS = 7 * DAY_STEPS
HORIZON_STEPS = 96
QUANTILES = (0.1, 0.5, 0.9)
LAG_DAYS = (1, 2, 7)
MEAN_STEPS = (4, 24, 96, 672)
# A model sees a site only when it knows its last day well: at most 10 % of the slots missing.
RECENT_VALID_MIN = 0.9
# Below this a site stands still and dividing by its spread would amplify noise.
SCALE_W_MIN = 50.0

CHANNEL_NAMES = (
    *(f"lag_{days}d" for days in LAG_DAYS),
    *(f"lag_{days}d_known" for days in LAG_DAYS),
    *(f"mean_{steps}" for steps in MEAN_STEPS),
    "previous",
    "ahead",
    "ahead_decay",
    *(f"{wave}_{harmonic}" for harmonic in (1, 2, 3) for wave in ("sin", "cos")),
    *(f"weekday_{day}" for day in range(7)),
)
CHANNELS = len(CHANNEL_NAMES)

_DAY_US = 86_400_000_000
_HALF_HOUR_US = 1_800_000_000


@dataclass(frozen=True, slots=True)
class Scaled:
    """Histories made comparable between sites: `(x - anchor) / scale`, and how to go back."""

    values: F64  # [..., HISTORY_STEPS], 0 where unknown
    known: Mask  # [..., HISTORY_STEPS]
    anchor_w: F64  # [...]
    scale_w: F64  # [...]


def input_digest() -> str:
    """Digest of the definition above: a bundle made for another one is refused."""
    definition = {
        "version": 1,
        "channels": CHANNEL_NAMES,
        "step_us": STEP_US,
        "history": HISTORY_STEPS,
        "horizon": HORIZON_STEPS,
        "quantiles": QUANTILES,
        "scale_w_min": SCALE_W_MIN,
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def is_forecastable(known: Mask) -> NDArray[np.bool_]:
    """Whether a history `[..., HISTORY_STEPS]` is complete enough for the model; `[...]`."""
    recent = known[..., -DAY_STEPS:].mean(axis=-1) >= RECENT_VALID_MIN
    return np.asarray(recent & known[..., -1])


def scale_window(power_w: F64, known: Mask) -> Scaled:
    """Subtract the last known value and divide by the standard deviation of what is known.

    Args:
        power_w: average power of the slots before the issue instant, oldest first, watts,
            `[..., HISTORY_STEPS]`; values where `known` is False are ignored.
        known: which of them were measured.
    """
    # A sum depends on the order of its terms: along contiguous time it is the same for one window and for many.
    power_w, known = np.ascontiguousarray(power_w), np.ascontiguousarray(known)
    last = HISTORY_STEPS - 1 - np.argmax(known[..., ::-1], axis=-1)
    anchor = np.take_along_axis(power_w, last[..., np.newaxis], axis=-1)
    anchor = np.where(known.any(axis=-1, keepdims=True), anchor, 0.0)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.where(known, power_w, 0.0).sum(axis=-1, keepdims=True) / count
    spread = np.sqrt(np.where(known, (power_w - mean) ** 2, 0.0).sum(axis=-1, keepdims=True) / count)
    scale = np.maximum(spread, SCALE_W_MIN)
    values = np.where(known, (power_w - anchor) / scale, 0.0)
    return Scaled(values, known, anchor[..., 0], scale[..., 0])


def forecast_tensor(scaled: Scaled, issued_us: I64, zone: ZoneInfo) -> F32:
    """The model's input, float32 `[..., HORIZON_STEPS, CHANNELS]`.

    Args:
        scaled: histories that end at `issued_us`.
        issued_us: the issue instants, aligned to a step, `[...]`.
        zone: the site's time zone.
    """
    target_us = issued_us[..., np.newaxis] + np.arange(HORIZON_STEPS, dtype=np.int64) * STEP_US
    offset_us = utc_offset_us(target_us, zone)
    lags, lags_known = _lags(scaled, issued_us, target_us, offset_us, zone)
    shape = target_us.shape
    means = [_recent_mean(scaled, steps) for steps in MEAN_STEPS]
    ahead = np.arange(HORIZON_STEPS) / HORIZON_STEPS
    local_us = target_us + offset_us
    phase = 2 * np.pi * (local_us % _DAY_US) / _DAY_US
    weekday = (local_us // _DAY_US + 3) % 7  # the epoch was a Thursday; 0 = Monday
    columns = [
        *lags,
        *lags_known,
        *(np.broadcast_to(mean[..., np.newaxis], shape) for mean in means),
        np.broadcast_to(scaled.values[..., -2:-1], shape),
        np.broadcast_to(ahead, shape),
        np.broadcast_to(np.exp(-ahead * HORIZON_STEPS / 4), shape),
        *(wave(harmonic * phase) for harmonic in (1, 2, 3) for wave in (np.sin, np.cos)),
        *((weekday == day) for day in range(7)),
    ]
    tensor: F32 = np.stack(columns, axis=-1).astype(np.float32)
    return tensor


def restore_w(output: F32, scaled: Scaled) -> F64:
    """The model's output `[..., HORIZON_STEPS, 3]` in watts, quantiles put in order."""
    scale = scaled.scale_w[..., np.newaxis, np.newaxis]
    anchor = scaled.anchor_w[..., np.newaxis, np.newaxis]
    return np.asarray(np.sort(output.astype(np.float64) * scale + anchor, axis=-1))


def utc_offset_us(at_us: I64, zone: ZoneInfo) -> I64:
    """Local time minus UTC at each instant, microseconds.

    Clocks are changed on a full hour of UTC, on Lord Howe Island on a half.
    """
    halves, where = np.unique(at_us // _HALF_HOUR_US, return_inverse=True)
    offsets = np.array([_offset_us(int(half) * _HALF_HOUR_US, zone) for half in halves], dtype=np.int64)
    return offsets[where].reshape(at_us.shape)


def lag_index(issued_us: I64, target_us: I64, offset_us: I64, days: int, zone: ZoneInfo) -> I64:
    """Index into a history of the slot with the same local time `days` earlier than each target.

    May lie outside `[0, HISTORY_STEPS)`: then the history does not hold it.
    """
    earlier_us = target_us - days * _DAY_US
    earlier_us = earlier_us + offset_us - utc_offset_us(earlier_us, zone)
    return np.asarray(HISTORY_STEPS + (earlier_us - issued_us[..., np.newaxis]) // STEP_US)


def _lags(
    scaled: Scaled, issued_us: I64, target_us: I64, offset_us: I64, zone: ZoneInfo
) -> tuple[list[F64], list[F64]]:
    values, known = [], []
    for days in LAG_DAYS:
        index = lag_index(issued_us, target_us, offset_us, days, zone)
        inside = (index >= 0) & (index < HISTORY_STEPS)
        index = np.clip(index, 0, HISTORY_STEPS - 1)
        is_known = inside & np.take_along_axis(scaled.known, index, axis=-1)
        values.append(np.where(is_known, np.take_along_axis(scaled.values, index, axis=-1), 0.0))
        known.append(is_known.astype(np.float64))
    return values, known


def _recent_mean(scaled: Scaled, steps: int) -> F64:
    count = scaled.known[..., -steps:].sum(axis=-1)
    return np.asarray(scaled.values[..., -steps:].sum(axis=-1) / np.maximum(count, 1))


def _offset_us(at_us: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1_000_000
