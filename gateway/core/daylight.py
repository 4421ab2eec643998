"""When the sun can shine on a site's panels, and how clear the sky was. Pure.

Both follow from what the panels produced: there is no weather feed and no position of the site.
Days are of 24 hours and not of local time: the sun knows nothing of daylight saving.
"""

import numpy as np

from gateway.contract.forecast_spec import DAY_US, MINUTE_US, ForecastSpec
from gateway.contract.inputs import F64, Mask
from gateway.core.past import Past, known_quantiles

# The highest but one or so of a week is a clear hour; the highest of all may have been the edge of a cloud.
# Measured on three homes of Fontana beside 14 and 28 days, 0.8 and 1.0: the lowest error a day ahead.
ENVELOPE_DAYS = 7
ENVELOPE_LEVEL = 0.9
# Moments this near see the sun at nearly the same height, so that one cloudless gap serves them all.
NEIGHBOURS_US = 30 * MINUTE_US
# Below this share of the best hour panels give what dusk gives: nothing that counts.
DAYLIGHT_SHARE = 0.03
# How long the clearness is taken from. One hour is a cloud, a whole day has forgotten the change of weather.
CLEARNESS_US = 6 * 60 * MINUTE_US
# Panels give more than a clear sky at the edge of a cloud, for minutes; not over hours.
CLEARNESS_MAX = 1.2


def clear_sky_w(spec: ForecastSpec, past: Past) -> F64:
    """What a clear sky gives at each step of the day behind (and so of the day ahead), NaN where nothing is known.

    `[..., day_steps]`, from the issue instant on.
    """
    days = _days(spec, past)
    envelope = known_quantiles(np.swapaxes(days, -1, -2), (ENVELOPE_LEVEL,))[..., 0]
    reach = NEIGHBOURS_US // spec.step_us
    weights = reach + 1.0 - np.abs(np.arange(-reach, reach + 1))
    total, weight = np.zeros_like(envelope), np.zeros_like(envelope)
    for shift, one in zip(range(-reach, reach + 1), weights, strict=True):
        moved = np.roll(envelope, shift, axis=-1)
        total += np.where(np.isnan(moved), 0.0, one * moved)
        weight += np.where(np.isnan(moved), 0.0, one)
    return np.where(weight > 0, np.maximum(total, 0.0) / np.maximum(weight, 1.0), np.nan)


def is_daylight(spec: ForecastSpec, past: Past) -> Mask:
    """Whether panels can produce in each row; what is not known to be night is day. `[..., rows]`."""
    envelope = clear_sky_w(spec, past)
    day = _is_day(envelope)[..., : spec.horizon_steps]
    return np.concatenate([day, day.any(axis=-1, keepdims=True)], axis=-1) if spec.has_peak else day


def sunny_w(spec: ForecastSpec, past: Past) -> F64:
    """The clear sky times the clearness of the last hours of daylight, 0 at night, NaN where nothing is known.

    `[..., horizon_steps]`.
    """
    envelope = clear_sky_w(spec, past)
    day = _is_day(envelope)
    power = np.where(day, envelope * _clearness(spec, past, envelope, day)[..., np.newaxis], 0.0)
    return power[..., : spec.horizon_steps]


def _days(spec: ForecastSpec, past: Past) -> F64:
    """The last days one by one, `[..., days, day_steps]`, NaN where unknown."""
    steps = ENVELOPE_DAYS * DAY_US // spec.step_us
    power_w = np.where(past.known[..., -steps:], past.power_w[..., -steps:], np.nan)
    return power_w.reshape(*power_w.shape[:-1], ENVELOPE_DAYS, spec.day_steps)


def _is_day(envelope: F64) -> Mask:
    highest = np.where(np.isnan(envelope), 0.0, envelope).max(axis=-1, keepdims=True)
    return np.asarray(np.isnan(envelope) | (envelope > DAYLIGHT_SHARE * highest))


def _clearness(spec: ForecastSpec, past: Past, envelope: F64, day: Mask) -> F64:
    """Produced over clear sky in the last known steps of daylight; 1 where there are none. `[...]`."""
    days = _days(spec, past)
    counts = (day & (envelope > 0))[..., np.newaxis, :] & ~np.isnan(days)
    counts = counts.reshape(*counts.shape[:-2], -1)
    produced = np.where(counts, days.reshape(counts.shape), 0.0)
    possible = np.where(counts, np.tile(np.where(day, envelope, 0.0), ENVELOPE_DAYS), 0.0)
    from_end = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    recent = counts & (from_end <= max(1, CLEARNESS_US // spec.step_us))
    produced, possible = (np.where(recent, one, 0.0).sum(axis=-1) for one in (produced, possible))
    share = np.where(possible > 0, produced / np.where(possible > 0, possible, 1.0), 1.0)
    return np.clip(share, 0.0, CLEARNESS_MAX)
