"""Emissions of energy by a grid factor: kg CO2e per kWh, constant, by local hour, or a series. Pure.

They follow from energy drawn from the grid; what is fed in or made on site is not credited.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F64, I64
from gateway.contract.local_time import utc_offset_us

# Lignite burnt badly is below 1.5; more than twice that is another unit: g, or lb per MWh.
FACTOR_KG_PER_KWH_MAX = 3.0
SOURCE_CHARACTERS_MAX = 200
HOURS = 24
_HOUR_US = DAY_US // 24
_WH_PER_KWH = 1000.0


@dataclass(frozen=True, slots=True)
class GridFactor:
    """What a kWh of the grid emits, and who says so.

    `hourly` are 24 local hours (a constant is 24 times the same). Where a series is given, its steps speak
    first, and where it ends or is unknown (NaN) the hours do.
    """

    hourly: tuple[float, ...]
    source: str
    series_start_us: int = 0
    series_step_us: int = _HOUR_US
    series: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.hourly) != HOURS:
            raise _refused("kg_per_kwh", f"{len(self.hourly)} values", "is not a day", f"give {HOURS}")
        if not self.source.strip() or len(self.source) > SOURCE_CHARACTERS_MAX:
            raise _refused(
                "source", repr(self.source[:40]), "does not name who says so", 'write "grid operator, 2024"'
            )
        given = np.array([*self.hourly, *self.series], dtype=np.float64)
        known = given[~np.isnan(given)]
        if np.isnan(self.hourly).any() or not ((known >= 0) & (known <= FACTOR_KG_PER_KWH_MAX)).all():
            most = f"give kg CO2e per kWh from 0 to {FACTOR_KG_PER_KWH_MAX:g}"
            raise _refused("kg_per_kwh", f"{known.min(initial=0):g} to {known.max(initial=0):g}", "cannot be", most)

    def kg_per_kwh(self, at_us: I64, zone: ZoneInfo) -> F64:
        """The factor at each instant."""
        hour = (at_us + utc_offset_us(at_us, zone)) % DAY_US // _HOUR_US
        factor: F64 = np.asarray(self.hourly, dtype=np.float64)[hour]
        if not self.series:
            return factor
        step = (at_us - self.series_start_us) // self.series_step_us
        inside = (step >= 0) & (step < len(self.series))
        given = np.asarray(self.series, dtype=np.float64)[np.where(inside, step, 0)]
        return np.where(inside & ~np.isnan(given), given, factor)


def constant_factor(kg_per_kwh: float, source: str) -> GridFactor:
    """One factor for all hours.

    Raises:
        SettingError: it cannot be one, or nobody is named who says so.
    """
    return GridFactor((kg_per_kwh,) * HOURS, source)


def emissions_kg(energy_wh: F64, at_us: I64, factor: GridFactor, zone: ZoneInfo) -> F64:
    """Kg CO2e of the energy drawn from the grid in steps that begin at `at_us`; NaN where the energy is unknown."""
    return np.maximum(energy_wh, 0.0) / _WH_PER_KWH * factor.kg_per_kwh(at_us, zone)


def forecast_emissions_kg(spec: ForecastSpec, power_w: F64, start_us: int, factor: GridFactor, zone: ZoneInfo) -> F64:
    """Kg CO2e of each step of a forecast from `start_us`, `[horizon_steps]` from W."""
    at_us = start_us + np.arange(spec.horizon_steps, dtype=np.int64) * spec.step_us
    return emissions_kg(power_w * spec.step_us / _HOUR_US, at_us, factor, zone)


def _refused(field: str, value: str, problem: str, next_step: str) -> SettingError:
    return SettingError(f"emissions.{field}", value, problem, next_step)
