"""The statistical forecasts of any spec: what runs beside a model as its fallback and its yardstick. Pure.

Each takes one window or a million (`[..., history_steps] -> [..., rows]`, watts). A step whose own past is
unknown takes the next best; where nothing at all is known, the forecast is NaN.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F64, Mask
from gateway.contract.manifest import ForecastTarget
from gateway.core.daylight import sunny_w
from gateway.core.past import Past, known_quantiles, known_w, last_known, same_time

Baseline = Literal["smart_persistence", "seasonal_naive", "daily_naive", "last_value"]

# What stands beside a model of this target, the one that speaks first of all in front.
BASELINES: Mapping[ForecastTarget, tuple[Baseline, ...]] = {
    "consumption_w": ("seasonal_naive", "daily_naive", "last_value"),
    "production_w": ("smart_persistence", "seasonal_naive", "daily_naive"),
}
# Differences to the same time of another day are pooled over slots this near: they have a spread of their own.
_NEIGHBOURS_US = DAY_US // 24
# Changes over one step, two, and so on: at so many leads, in between by a line.
_LEAD_POINTS = 12


def last_value(spec: ForecastSpec, past: Past) -> F64:
    """The last value that is known, for every row."""
    last = last_known(past)[..., np.newaxis]
    return np.broadcast_to(last, (*last.shape[:-1], spec.rows)).copy()


def daily_naive(spec: ForecastSpec, past: Past) -> F64:
    """The same local time yesterday, else last week, else the last value."""
    return _first_known(spec, past, same_time(spec, past, 1), same_time(spec, past, 7))


def seasonal_naive(spec: ForecastSpec, past: Past) -> F64:
    """The same local time last week, else yesterday, else the last value."""
    return _first_known(spec, past, same_time(spec, past, 7), same_time(spec, past, 1))


def smart_persistence(spec: ForecastSpec, past: Past) -> F64:
    """Production as the sky is now: clear sky times clearness, 0 at night; else as `daily_naive`."""
    return _first_known(spec, past, sunny_w(spec, past), same_time(spec, past, 1))


_MEDIANS: Mapping[Baseline, Callable[[ForecastSpec, Past], F64]] = {
    "smart_persistence": smart_persistence,
    "seasonal_naive": seasonal_naive,
    "daily_naive": daily_naive,
    "last_value": last_value,
}
_LAG_DAYS: Mapping[Baseline, int] = {"smart_persistence": 1, "seasonal_naive": 7, "daily_naive": 1}


def median_w(baseline: Baseline, spec: ForecastSpec, past: Past) -> F64:
    """What `baseline` says, `[..., rows]`."""
    return _MEDIANS[baseline](spec, past)


def is_whole(baseline: Baseline, spec: ForecastSpec, past: Past) -> Mask:
    """Whether every step can take what the name of `baseline` says; `[...]`."""
    if baseline == "last_value":
        return np.asarray(past.known.any(axis=-1))
    own = sunny_w(spec, past) if baseline == "smart_persistence" else same_time(spec, past, _LAG_DAYS[baseline])
    return np.asarray(~np.isnan(own).any(axis=-1))


def quantiles_w(baseline: Baseline, spec: ForecastSpec, past: Past) -> F64:
    """What `baseline` says with the band of its own past errors, `[..., rows, quantiles]`, in order.

    The errors are the site's differences over the lag of the baseline; without any, the band has no width.
    """
    median = median_w(baseline, spec, past)[..., np.newaxis]
    errors = _errors_by_lead(spec, past) if baseline == "last_value" else _errors_by_slot(baseline, spec, past)
    errors = np.where(np.isnan(errors), 0.0, errors)
    levels = np.asarray(spec.quantiles)
    return np.asarray(
        median + np.where(levels < 0.5, np.minimum(errors, 0.0), np.maximum(errors, 0.0)) * (levels != 0.5)
    )


def _first_known(spec: ForecastSpec, past: Past, *choices: F64) -> F64:
    """The first of `choices` that is known of each step, else the last value; and the peak of that."""
    power = np.broadcast_to(last_known(past)[..., np.newaxis], choices[0].shape)
    for choice in reversed(choices):
        power = np.where(np.isnan(choice), power, choice)
    return np.concatenate([power, power.max(axis=-1, keepdims=True)], axis=-1) if spec.has_peak else power


def _errors_by_slot(baseline: Baseline, spec: ForecastSpec, past: Past) -> F64:
    """Quantiles of the differences over the lag: their distribution is the site's, their size that of the slot."""
    lag = _LAG_DAYS[baseline] * spec.day_steps
    power = known_w(past)
    steps = _scaled_errors(spec, power, lag)[..., : spec.horizon_steps, :]
    if not spec.has_peak:
        return steps
    peak = _scaled_errors(spec, _highest_ahead(spec, power), lag)[..., :1, :]
    return np.concatenate([steps, peak], axis=-2)


def _scaled_errors(spec: ForecastSpec, power: F64, lag: int) -> F64:
    """`[..., day_steps, quantiles]`, from the slot of the issue instant on."""
    errors = power[..., lag:] - power[..., :-lag]
    by_day = errors.reshape(*errors.shape[:-1], -1, spec.day_steps)
    known = ~np.isnan(by_day)
    total, count = np.where(known, np.abs(by_day), 0.0).sum(axis=-2), known.sum(axis=-2).astype(np.float64)
    reach = max(1, _NEIGHBOURS_US // spec.step_us)
    total, count = (sum(np.roll(one, i, axis=-1) for i in range(-reach, reach + 1)) for one in (total, count))
    size = np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
    # Slots that never differ (panels at night) say nothing of the others.
    differs = size > 0
    scaled = by_day / np.where(differs, size, 1.0)[..., np.newaxis, :]
    scaled = np.where(differs[..., np.newaxis, :], scaled, np.nan)
    shape = known_quantiles(scaled.reshape(errors.shape), spec.quantiles)
    return np.asarray(size[..., np.newaxis] * shape[..., np.newaxis, :])


def _errors_by_lead(spec: ForecastSpec, past: Past) -> F64:
    """Quantiles of the changes over one step, two, and so on; `[..., rows, quantiles]`."""
    power = known_w(past)
    points = np.unique(np.geomspace(1, spec.horizon_steps, _LEAD_POINTS).round().astype(np.int64))
    found = np.stack([known_quantiles(power[..., one:] - power[..., :-one], spec.quantiles) for one in points])
    leads = np.arange(1, spec.horizon_steps + 1)
    above = np.clip(np.searchsorted(points, leads), 1, max(1, points.size - 1)) % points.size
    span = np.maximum(points[above] - points[above - 1], 1)
    share = np.clip((leads - points[above - 1]) / span, 0.0, 1.0).reshape(-1, *[1] * (found.ndim - 1))
    steps = np.moveaxis(found[above - 1] * (1 - share) + found[above] * share, 0, -2)
    if not spec.has_peak:
        return np.asarray(steps)
    peak = _highest_ahead(spec, power)[..., 1:] - power[..., :-1]
    return np.concatenate([steps, known_quantiles(peak, spec.quantiles)[..., np.newaxis, :]], axis=-2)


def _highest_ahead(spec: ForecastSpec, power: F64) -> F64:
    """The highest of the horizon that begins with each step; NaN where one of them is unknown."""
    highest = power.copy()
    for lead in range(1, spec.horizon_steps):
        highest[..., :-lead] = np.maximum(highest[..., :-lead], power[..., lead:])
        highest[..., -lead] = np.nan
    return highest
