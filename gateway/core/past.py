"""What a site has done until some issue instants, and what can be looked up in it. Pure.

Everything here takes one window or a million: time is the last axis.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F64, I64, Mask, same_time_step, target_instants
from gateway.contract.local_time import utc_offset_us


@dataclass(frozen=True, slots=True)
class Past:
    """Histories that end at their issue instants; the values where `known` is False are ignored."""

    power_w: F64  # [..., history_steps], oldest first
    known: Mask  # [..., history_steps]
    issued_us: I64  # [...], aligned to a step
    zone: ZoneInfo


def same_time(spec: ForecastSpec, past: Past, days: int) -> F64:
    """The power at the local time of each step ahead `days` earlier, NaN where unknown; `[..., horizon_steps]`."""
    target_us = target_instants(spec, past.issued_us)
    offset_us = utc_offset_us(target_us, past.zone)
    index, inside = same_time_step(spec, past.issued_us, target_us, offset_us, days, past.zone)
    found = inside & np.take_along_axis(past.known, index, axis=-1)
    return np.where(found, np.take_along_axis(past.power_w, index, axis=-1), np.nan)


def last_known(past: Past) -> F64:
    """The last power that is known, NaN where none is; `[...]`."""
    last = past.known.shape[-1] - 1 - np.argmax(past.known[..., ::-1], axis=-1)
    value = np.take_along_axis(past.power_w, last[..., np.newaxis], axis=-1)[..., 0]
    return np.where(past.known.any(axis=-1), value, np.nan)


def known_w(past: Past) -> F64:
    """The histories with NaN where unknown."""
    return np.where(past.known, past.power_w, np.nan)


def known_quantiles(values: F64, levels: tuple[float, ...]) -> F64:
    """Quantiles of the last axis without its NaN; NaN where nothing else is. `[..., levels]`.

    As `numpy.nanquantile`, which takes one row after the other.
    """
    ordered = np.sort(values, axis=-1)  # NaN comes last
    highest = np.maximum(np.count_nonzero(~np.isnan(values), axis=-1)[..., np.newaxis] - 1, 0)
    position = np.asarray(levels) * highest
    below = np.floor(position).astype(np.int64)
    low = np.take_along_axis(ordered, below, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(below + 1, highest), axis=-1)
    return np.asarray(low + (position - below) * (high - low))
