"""Forecasts of the site's consumption: the statistical baseline, and what a model's output means. Pure.

The baseline always runs beside the model: it is the fallback, the yardstick and the shadow.
"""

from zoneinfo import ZoneInfo

import numpy as np

from firmware_bridge.reading import UtcUs
from gateway.contract.inputs import (
    DAY_STEPS,
    F32,
    F64,
    HISTORY_STEPS,
    HORIZON_STEPS,
    STEP_US,
    Mask,
    Scaled,
    lag_index,
    restore_w,
    utc_offset_us,
)
from gateway.contract.records import ForecastRecord, Rung

# A gigawatt is a power station: a model that says so has lost its mind, finite or not.
FORECAST_W_MAX = 1e9
# The 90 % point of a normal distribution: turns a spread into the distance of the outer quantiles.
_Z90 = 1.2816
_MAD_TO_SIGMA = 1.4826
# The better lag comes last: last week's slot wins over yesterday's where both are known.
_LAGS: tuple[tuple[int, Rung], ...] = ((1, "daily_naive"), (7, "seasonal_naive"))


def baseline(
    history: F64, known: Mask, *, issued_us: UtcUs, start_us: UtcUs, zone: ZoneInfo
) -> ForecastRecord | None:
    """The same slot of last week, else of yesterday, else the last value; None when nothing is known.

    Its rung says which of them all steps could take. The band is the spread of the site's own
    differences over the same lag.
    """
    if not known.any():
        return None
    window_end = np.asarray(start_us, dtype=np.int64)
    target_us = window_end + np.arange(HORIZON_STEPS, dtype=np.int64) * STEP_US
    offset_us = utc_offset_us(target_us, zone)
    last = float(history[HISTORY_STEPS - 1 - int(np.argmax(known[::-1]))])
    median = np.full(HORIZON_STEPS, last)
    rung: Rung = "last_value"
    for days, name in _LAGS:
        index = lag_index(window_end, target_us, offset_us, days, zone)
        inside = (index >= 0) & (index < HISTORY_STEPS)
        index = np.clip(index, 0, HISTORY_STEPS - 1)
        found = inside & known[index]
        median = np.where(found, history[index], median)
        if found.all():
            rung = name
    half_width = _Z90 * _spread(history, known)
    quantiles = np.stack([median - half_width, median, median + half_width], axis=-1)
    return _record(
        np.maximum(quantiles, lowest_w(history, known)),
        rung=rung,
        bundle=None,
        issued_us=issued_us,
        start_us=start_us,
    )


def from_model(
    output: F32, scaled: Scaled, floor_w: float, *, bundle: str, issued_us: UtcUs, start_us: UtcUs
) -> ForecastRecord | None:
    """What the model said, in watts and not below `floor_w`, naming the bundle that said it.

    None when it cannot be meant: then the baseline speaks.
    """
    quantiles = np.maximum(restore_w(output, scaled), floor_w)
    if not (np.abs(quantiles) < FORECAST_W_MAX).all():
        return None
    return _record(quantiles, rung="model", bundle=bundle, issued_us=issued_us, start_us=start_us)


def energy_wh(forecast: ForecastRecord) -> int:
    """Energy of the whole horizon by its median, Wh."""
    return round(sum(forecast.p50) * forecast.step_us / 3_600_000_000)


def lowest_w(history: F64, known: Mask) -> float:
    """What a forecast cannot be below: nothing, or the least seen where a site feeds in unmetered."""
    return float(min(0.0, history[known].min(initial=0.0)))


def _spread(history: F64, known: Mask) -> float:
    """Robust standard deviation of the differences to the day before, W; 0 when there are none."""
    both = known[DAY_STEPS:] & known[:-DAY_STEPS]
    differences = (history[DAY_STEPS:] - history[:-DAY_STEPS])[both]
    return float(np.median(np.abs(differences)) * _MAD_TO_SIGMA) if differences.size else 0.0


def _record(quantiles: F64, *, rung: Rung, bundle: str | None, issued_us: UtcUs, start_us: UtcUs) -> ForecastRecord:
    p10, p50, p90 = np.rint(quantiles).astype(int).T.tolist()
    return ForecastRecord(
        issued_us=issued_us,
        target="consumption_w",
        rung=rung,
        bundle=bundle,
        start_us=start_us,
        step_us=STEP_US,
        p10=p10,
        p50=p50,
        p90=p90,
    )
