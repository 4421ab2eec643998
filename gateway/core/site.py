"""What the meters add up to: the site's consumption and the state of its grid. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.config import MeterConfig, Role
from firmware_bridge.measurand import Measurand
from firmware_bridge.quality import plausible_bounds
from firmware_bridge.reading import MeterId, Series

_VOLTAGES = (Measurand.VOLTAGE_V, Measurand.VOLTAGE_L1_V, Measurand.VOLTAGE_L2_V, Measurand.VOLTAGE_L3_V)
# Below half of nominal nothing that is plugged in works: the grid is out, whatever is left of it.
OUTAGE_FRACTION = 0.5


@dataclass(frozen=True, slots=True)
class SiteState:
    """The site at one tick; a power is None when a meter it needs is missing."""

    grid_w: float | None
    solar_w: float | None
    consumption_w: float | None
    grid_is_up: bool

    @property
    def production_w(self) -> float | None:
        """What the sun gives, positive; the little that an inverter draws at night is none of it."""
        return None if self.solar_w is None else max(0.0, -self.solar_w)


class Site:
    """Which columns make up the site: found once, read every tick."""

    def __init__(self, series: Sequence[Series], meters: Sequence[MeterConfig], nominal_voltage_v: float) -> None:
        self._outage_v = nominal_voltage_v * OUTAGE_FRACTION
        columns = {one: column for column, one in enumerate(series)}
        self._grid = _powers(columns, meters, "grid")
        self._solar = _powers(columns, meters, "solar")
        self._load = _powers(columns, meters, "load")
        grid_meters = {meter.name for meter in meters if meter.role == "grid"}
        self._voltage = [
            column for one, column in columns.items() if one.meter in grid_meters and one.measurand in _VOLTAGES
        ]

    @property
    def has_solar(self) -> bool:
        """Whether a meter shows what the sun gives."""
        return bool(self._solar.columns)

    def state(self, values: NDArray[np.float64]) -> SiteState:
        """The site as the good values of one row show it; works for a row of means too."""
        grid, solar, load = (_total_w(values, powers) for powers in (self._grid, self._solar, self._load))
        voltages = values[self._voltage]
        known = voltages[~np.isnan(voltages)]
        return SiteState(
            grid_w=grid,
            solar_w=solar,
            consumption_w=self._consumption(grid, solar, load),
            grid_is_up=not known.size or bool(known.max() >= self._outage_v),
        )

    def _consumption(self, grid: float | None, solar: float | None, load: float | None) -> float | None:
        if not self._grid.columns:
            return load
        if grid is None or (self._solar.columns and solar is None):
            return None
        # Passive sign convention: a producing solar meter is negative.
        return grid - (solar or 0.0)


class _Powers(NamedTuple):
    """The columns with the powers of one role, and what the main breaker of each lets through, either way.

    More is a meter's nonsense: one such value in a week would make everything else look small to the model.
    """

    columns: list[int]
    most_w: NDArray[np.float64]


def _powers(columns: Mapping[Series, int], meters: Sequence[MeterConfig], role: Role) -> _Powers:
    wanted = [
        (Series(MeterId(meter.name), Measurand.ACTIVE_POWER_W), meter) for meter in meters if meter.role == role
    ]
    found = [
        (columns[one], plausible_bounds(one.measurand, meter.rated_power_w)[1])
        for one, meter in wanted
        if one in columns
    ]
    return _Powers([column for column, _ in found], np.array([most_w for _, most_w in found]))


def _total_w(values: NDArray[np.float64], powers: _Powers) -> float | None:
    if not powers.columns:
        return None
    shown = values[powers.columns]
    return float(shown.sum()) if bool((np.abs(shown) <= powers.most_w).all()) else None  # NaN is not <= anything
