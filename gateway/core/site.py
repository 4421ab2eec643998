"""What the meters add up to: the site's consumption and the state of its grid. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.config import MeterConfig, Role
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Series

_VOLTAGES = (Measurand.VOLTAGE_V, Measurand.VOLTAGE_L1_V, Measurand.VOLTAGE_L2_V, Measurand.VOLTAGE_L3_V)
# Below half of nominal nothing that is plugged in works: the grid is out, whatever is left of it.
OUTAGE_FRACTION = 0.5
# What all main breakers let through together, and a fifth for their tolerance: more is a meter's nonsense,
# and one such value in a week would make everything else look small to the model.
BELIEVABLE_FACTOR = 1.2


@dataclass(frozen=True, slots=True)
class SiteState:
    """The site at one tick; a power is None when a meter it needs is missing."""

    grid_w: float | None
    solar_w: float | None
    consumption_w: float | None
    grid_is_up: bool


class Site:
    """Which columns make up the site: found once, read every tick."""

    def __init__(self, series: Sequence[Series], meters: Sequence[MeterConfig], nominal_voltage_v: float) -> None:
        self._outage_v = nominal_voltage_v * OUTAGE_FRACTION
        columns = {one: column for column, one in enumerate(series)}
        self._grid = _power_columns(columns, meters, "grid")
        self._solar = _power_columns(columns, meters, "solar")
        self._load = _power_columns(columns, meters, "load")
        self._believable_w = BELIEVABLE_FACTOR * sum(
            meter.rated_power_w for meter in meters if meter.role in ("grid", "solar", "load")
        )
        grid_meters = {meter.name for meter in meters if meter.role == "grid"}
        self._voltage = [
            column for one, column in columns.items() if one.meter in grid_meters and one.measurand in _VOLTAGES
        ]

    def state(self, values: NDArray[np.float64]) -> SiteState:
        """The site as one row shows it; works for a row of means too."""
        grid, solar, load = (_total(values, columns) for columns in (self._grid, self._solar, self._load))
        voltages = values[self._voltage]
        known = voltages[~np.isnan(voltages)]
        return SiteState(
            grid_w=grid,
            solar_w=solar,
            consumption_w=self._believed(self._consumption(grid, solar, load)),
            grid_is_up=not known.size or bool(known.max() >= self._outage_v),
        )

    def _believed(self, power_w: float | None) -> float | None:
        return None if power_w is None or abs(power_w) > self._believable_w else power_w

    def _consumption(self, grid: float | None, solar: float | None, load: float | None) -> float | None:
        if not self._grid:
            return load
        if grid is None or (self._solar and solar is None):
            return None
        # Passive sign convention: a producing solar meter is negative.
        return grid - (solar or 0.0)


def _power_columns(columns: Mapping[Series, int], meters: Sequence[MeterConfig], role: Role) -> list[int]:
    wanted = (Series(MeterId(meter.name), Measurand.ACTIVE_POWER_W) for meter in meters if meter.role == role)
    return [columns[one] for one in wanted if one in columns]


def _total(values: NDArray[np.float64], columns: list[int]) -> float | None:
    if not columns:
        return None
    total = float(values[columns].sum())
    return None if np.isnan(total) else total
