"""What a site has emitted today and is expected to in the next day, from its windows and its forecasts. Pure.

Only what is drawn from the grid counts: a step in which the sun gave as much as was used emits nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from firmware_bridge.reading import US_PER_S
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.inputs import F64
from gateway.contract.records import ForecastRecord
from gateway.core.decision import Expected
from gateway.core.emissions import GridFactor, emissions_kg, forecast_emissions_kg
from gateway.core.window import Window

_WH_PER_STEP_W = ENERGY.step_us / (3_600 * US_PER_S)


@dataclass(frozen=True, slots=True)
class Footprint:
    """kg CO2e since local midnight, as far as it was measured; of the next day by its medians, None without them."""

    today_kg: float
    next_day_kg: float | None
    source: str


def footprint(
    consumption: Window, production: Window | None, expected: Expected, factor: GridFactor, zone: ZoneInfo
) -> Footprint:
    """The footprint of the day that `consumption` ends in."""
    return Footprint(
        _today_kg(consumption, production, factor, zone), _next_day_kg(expected, factor, zone), factor.source
    )


def _today_kg(consumption: Window, production: Window | None, factor: GridFactor, zone: ZoneInfo) -> float:
    if consumption.end_us is None:
        return 0.0
    power_w, known = consumption.history()
    if production is not None:
        made_w, made_known = production.history()
        power_w, known = power_w - made_w, known & made_known
    start_us = consumption.end_us - np.arange(power_w.size, 0, -1, dtype=np.int64) * consumption.step_us
    # of the step that is last, not of its end: at midnight a day is over, and not yet begun
    last = datetime.fromtimestamp(int(start_us[-1]) / US_PER_S, zone)
    midnight_us = round(last.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * US_PER_S
    counts = known & (start_us >= midnight_us)
    return float(emissions_kg(power_w[counts] * _WH_PER_STEP_W, start_us[counts], factor, zone).sum())


def _next_day_kg(expected: Expected, factor: GridFactor, zone: ZoneInfo) -> float | None:
    if (forecast := expected.consumption) is None:
        return None
    power_w = _median_w(forecast)
    if expected.production is not None:
        power_w = power_w - _median_w(expected.production)
    return float(forecast_emissions_kg(ENERGY, power_w, forecast.start_us, factor, zone).sum())


def _median_w(forecast: ForecastRecord) -> F64:
    return np.asarray(forecast.p50, dtype=np.float64)
