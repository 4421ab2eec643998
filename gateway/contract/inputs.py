"""The inputs of the forecasters: from four weeks of steps to the tensors, and from their output to watts. Pure.

One function serves one window on the gateway and a million in training, so that the two can never
disagree. Everything here is SI before `scale_history` and after `restore_w`; nothing else scales.
Steps are aligned to the UTC epoch; lags and calendar follow the *local wall time* of the site, so a
day with 23 or 25 hours takes "the same time yesterday" from the right place.

Arrays: time is the last axis of histories (contiguous, float64: reductions run along it). A model takes
two float32 tensors: `recent` `[..., recent_steps]`, the last values one by one, and `steps`
`[..., rows, CHANNELS]`, what is known of each step ahead, as TFLite wants it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gateway.contract.forecast_spec import DAY_US, HISTORY_DAYS, ForecastSpec
from gateway.contract.local_time import earlier_us, utc_offset_us

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

LAG_DAYS = (1, 2, 7)
WEEK_DAYS = (7, 14, 21, 28)
MEAN_HOURS = (1, 6, 24, 168)
# A model sees a site only when it knows its last day well: at most 10 % of the steps missing.
RECENT_VALID_MIN = 0.9
# Below this a site stands still and dividing by its spread would amplify noise.
SCALE_W_MIN = 50.0

CHANNEL_NAMES = (
    *(f"lag_{days}d" for days in LAG_DAYS),
    *(f"lag_{days}d_known" for days in LAG_DAYS),
    "week_mean",
    "week_spread",
    "weekday_mean",
    "weekday_spread",
    "weekday_known",
    *(f"mean_{hours}h" for hours in MEAN_HOURS),
    "previous",
    "ahead",
    "ahead_decay_1h",
    "ahead_decay_6h",
    *(f"{wave}_{harmonic}" for harmonic in (1, 2, 3) for wave in ("sin", "cos")),
    *(f"weekday_{day}" for day in range(7)),
    "is_peak",
)
CHANNELS = len(CHANNEL_NAMES)

_HOUR_US = DAY_US // 24


@dataclass(frozen=True, slots=True)
class Scaled:
    """Histories made comparable between sites: `(x - anchor) / scale`, and how to go back."""

    values: F64  # [..., history_steps], 0 where unknown
    known: Mask  # [..., history_steps]
    anchor_w: F64  # [...]
    scale_w: F64  # [...]


class Inputs(NamedTuple):
    """What a model takes: its tensors in the order of their names."""

    recent: F32  # [..., recent_steps]
    steps: F32  # [..., rows, CHANNELS]


def input_digest() -> str:
    """Digest of the definition above: a bundle made for another one is refused."""
    definition = {
        "version": 2,
        "channels": CHANNEL_NAMES,
        "history_days": HISTORY_DAYS,
        "scale_w_min": SCALE_W_MIN,
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def is_forecastable(known: Mask, spec: ForecastSpec) -> NDArray[np.bool_]:
    """Whether histories `[..., history_steps]` are complete enough for a model; `[...]`."""
    recent = known[..., -spec.day_steps :].mean(axis=-1) >= RECENT_VALID_MIN
    return np.asarray(recent & known[..., -1])


def scale_history(power_w: F64, known: Mask) -> Scaled:
    """Subtract the last known value and divide by the standard deviation of what is known.

    Args:
        power_w: average power of the steps before the issue instant, oldest first, watts,
            `[..., history_steps]`; values where `known` is False are ignored.
        known: which of them were measured.
    """
    # A sum depends on the order of its terms: along contiguous time it is the same for one window and for many.
    power_w, known = np.ascontiguousarray(power_w), np.ascontiguousarray(known)
    last = power_w.shape[-1] - 1 - np.argmax(known[..., ::-1], axis=-1)
    anchor = np.take_along_axis(power_w, last[..., np.newaxis], axis=-1)
    anchor = np.where(known.any(axis=-1, keepdims=True), anchor, 0.0)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.where(known, power_w, 0.0).sum(axis=-1, keepdims=True) / count
    spread = np.sqrt(np.where(known, (power_w - mean) ** 2, 0.0).sum(axis=-1, keepdims=True) / count)
    scale = np.maximum(spread, SCALE_W_MIN)
    values = np.where(known, (power_w - anchor) / scale, 0.0)
    return Scaled(values, known, anchor[..., 0], scale[..., 0])


def model_inputs(spec: ForecastSpec, scaled: Scaled, issued_us: I64, zone: ZoneInfo) -> Inputs:
    """What the model of `spec` takes.

    Args:
        spec: what is forecast.
        scaled: histories that end at `issued_us`.
        issued_us: the issue instants, aligned to a step, `[...]`.
        zone: the site's time zone.
    """
    target_us = target_instants(spec, issued_us)
    offset_us = utc_offset_us(target_us, zone)
    levels, knowns = _same_time(spec, scaled, issued_us, target_us, offset_us, zone)
    shape = target_us.shape
    flat = [*_recent_means(spec, scaled), scaled.values[..., -2]]
    ahead_us = np.arange(spec.horizon_steps) * spec.step_us
    ahead = [ahead_us / DAY_US, np.exp(-ahead_us / _HOUR_US), np.exp(-ahead_us / (6 * _HOUR_US))]
    local_us = target_us + offset_us
    phase = 2 * np.pi * (local_us % DAY_US) / DAY_US
    weekday = (local_us // DAY_US + 3) % 7  # the epoch was a Thursday; 0 = Monday
    others = [
        *(np.broadcast_to(one[..., np.newaxis], shape) for one in flat),
        *(np.broadcast_to(one, shape) for one in ahead),
        *(wave(harmonic * phase) for harmonic in (1, 2, 3) for wave in (np.sin, np.cos)),
        *((weekday == day).astype(np.float64) for day in range(7)),
        np.zeros(shape),
    ]
    columns = {**levels, **knowns, **dict(zip(CHANNEL_NAMES[-len(others) :], others, strict=True))}
    if spec.has_peak:
        columns = {name: _with_peak(name, column, levels, knowns) for name, column in columns.items()}
    steps = np.stack([columns[name] for name in CHANNEL_NAMES], axis=-1).astype(np.float32)
    return Inputs(_recent(spec, scaled).astype(np.float32), steps)


def restore_w(output: F32, scaled: Scaled) -> F64:
    """The model's output `[..., rows, quantiles]` in watts, quantiles put in order."""
    scale = scaled.scale_w[..., np.newaxis, np.newaxis]
    anchor = scaled.anchor_w[..., np.newaxis, np.newaxis]
    return np.asarray(np.sort(output.astype(np.float64) * scale + anchor, axis=-1))


def same_time_step(
    spec: ForecastSpec, issued_us: I64, target_us: I64, offset_us: I64, days: int, zone: ZoneInfo
) -> tuple[I64, Mask]:
    """Which step of a history has the local time of each target `days` before it, and whether any has.

    Args:
        spec: what is forecast.
        issued_us: where the histories end, `[...]`.
        target_us: the instants that are forecast, `[..., horizon_steps]`.
        offset_us: local time minus UTC at each of them.
        days: how far back.
        zone: the site's time zone.
    """
    there_us = earlier_us(target_us, offset_us, days, zone)
    index = spec.history_steps + (there_us - issued_us[..., np.newaxis]) // spec.step_us
    inside = (index >= 0) & (index < spec.history_steps)
    return np.clip(index, 0, spec.history_steps - 1), inside


def target_instants(spec: ForecastSpec, issued_us: I64) -> I64:
    """The start of each step ahead of the issue instants, `[..., horizon_steps]`."""
    return np.asarray(issued_us[..., np.newaxis] + np.arange(spec.horizon_steps, dtype=np.int64) * spec.step_us)


def _same_time(
    spec: ForecastSpec, scaled: Scaled, issued_us: I64, target_us: I64, offset_us: I64, zone: ZoneInfo
) -> tuple[dict[str, F64], dict[str, F64]]:
    """What was at the same local time on earlier days: levels and what is known of them, `[..., horizon_steps]`."""
    values, known = {}, {}
    for days in sorted({*range(1, 8), *WEEK_DAYS}):
        index, inside = same_time_step(spec, issued_us, target_us, offset_us, days, zone)
        known[days] = inside & np.take_along_axis(scaled.known, index, axis=-1)
        values[days] = np.where(known[days], np.take_along_axis(scaled.values, index, axis=-1), 0.0)
    week, _ = _mean(values, known, range(1, 8))
    weekday, weekday_count = _mean(values, known, WEEK_DAYS)
    levels = {f"lag_{days}d": np.where(known[days], values[days], week) for days in LAG_DAYS}
    levels |= {
        "week_mean": week,
        "week_spread": _spread(values, known, range(1, 8), week),
        "weekday_mean": np.where(weekday_count > 0, weekday, week),
        "weekday_spread": _spread(values, known, WEEK_DAYS, weekday),
    }
    knowns = {f"lag_{days}d_known": known[days].astype(np.float64) for days in LAG_DAYS}
    return levels, knowns | {"weekday_known": weekday_count / len(WEEK_DAYS)}


def _mean(values: dict[int, F64], known: dict[int, Mask], days: Sequence[int]) -> tuple[F64, F64]:
    """Mean of what is known of these days, 0 where nothing is; and of how many."""
    total = np.sum([values[one] for one in days], axis=0)
    count = np.sum([known[one] for one in days], axis=0)
    return np.asarray(total / np.maximum(count, 1)), np.asarray(count, dtype=np.float64)


def _spread(values: dict[int, F64], known: dict[int, Mask], days: Sequence[int], mean: F64) -> F64:
    """Standard deviation of what is known of these days."""
    squares = {one: np.where(known[one], (values[one] - mean) ** 2, 0.0) for one in days}
    return np.sqrt(_mean(squares, known, days)[0])


def _recent_means(spec: ForecastSpec, scaled: Scaled) -> list[F64]:
    steps = [hours * _HOUR_US // spec.step_us for hours in MEAN_HOURS]
    return [
        np.asarray(scaled.values[..., -one:].sum(axis=-1) / np.maximum(scaled.known[..., -one:].sum(axis=-1), 1))
        for one in steps
    ]


def _recent(spec: ForecastSpec, scaled: Scaled) -> F64:
    """The last values; where one is unknown, that of the day before, else of the week before, else the anchor."""
    first, end = spec.history_steps - spec.recent_steps, spec.history_steps
    value, known = scaled.values[..., first:], scaled.known[..., first:]
    for days in (1, 7):
        earlier = slice(first - days * spec.day_steps, end - days * spec.day_steps)
        value = np.where(known, value, scaled.values[..., earlier])
        known = known | scaled.known[..., earlier]
    return value


def _with_peak(name: str, column: F64, levels: dict[str, F64], knowns: dict[str, F64]) -> F64:
    """`column` and, behind it, the row of the peak: the highest level, known when all are."""
    if name == "is_peak":
        peak = np.ones_like(column[..., :1])
    elif name in levels:
        peak = column.max(axis=-1, keepdims=True)
    elif name in knowns:
        peak = column.min(axis=-1, keepdims=True)
    else:
        peak = column[..., :1]
    return np.concatenate([column, peak], axis=-1)
