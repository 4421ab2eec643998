"""What sensors at a home feel of its weather, as a function of seed and instant. Pure.

Without a state, as the house itself. The sun is the one on the home's panels.
"""

import numpy as np

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.faults import Values
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.minute import Minute
from firmware_bridge.simulator.noise import F64, I64, Noise
from firmware_bridge.simulator.wall_clock import DAY_S, HOUR_S

# Streams of smooth chance: warm and cold spells, dampness, high and low pressure.
_WARMTH, _DAMPNESS, _PRESSURE = range(3)
_PERIODS_S = np.array([2 * DAY_S, 8 * HOUR_S, 3 * DAY_S])
_SEED = 1 << 43

_YEAR_S = 365.25 * DAY_S
_MEAN_C, _SEASON_C, _DAY_C, _SPELL_C = 14.0, 9.0, 4.5, 8.0
# The hottest day comes a month after the longest, the hottest hour three after noon.
_HOTTEST_OF_YEAR, _HOTTEST_HOUR = 0.55, 15.0
_MEAN_PA, _SWING_PA = 101_300.0, 4_000.0
# Full sun.
_SUN_W_PER_M2, _LX_PER_W_PER_M2 = 1_000.0, 115.0


class Weather:
    """Temperature, humidity, pressure and light."""

    measurands = frozenset(
        {
            Measurand.TEMPERATURE_C,
            Measurand.RELATIVE_HUMIDITY,
            Measurand.PRESSURE_PA,
            Measurand.IRRADIANCE_W_PER_M2,
            Measurand.ILLUMINANCE_LX,
        }
    )

    def __init__(self, house: House) -> None:
        self._house = house
        self._noise = Noise(house.seed + _SEED, len(_PERIODS_S))
        self._minute = Minute(self._values)

    def values(self, at_s: int) -> Values:
        """What is felt in that second, SI."""
        return self._minute.at(at_s)

    def temperature_c(self, at_us: I64) -> F64:
        """Outside, at each instant."""
        return self._temperature_c(at_us, self._noise.smooth(at_us // US_PER_S, _PERIODS_S))

    def _temperature_c(self, at_us: I64, draws: F64) -> F64:
        season = np.cos(2 * np.pi * (at_us / US_PER_S / _YEAR_S - _HOTTEST_OF_YEAR))
        hour = self._house.local_s(at_us) / HOUR_S
        day = np.cos(2 * np.pi * (hour - _HOTTEST_HOUR) / 24)
        return np.asarray(_MEAN_C + _SEASON_C * season + _DAY_C * day + _SPELL_C * (draws[_WARMTH] - 0.5))

    def _values(self, at_us: I64) -> list[Values]:
        draws = self._noise.smooth(at_us // US_PER_S, _PERIODS_S)
        temperature_c = self._temperature_c(at_us, draws)
        # Warmth dries the air.
        humidity = np.clip(0.75 - 0.012 * (temperature_c - _MEAN_C) + 0.4 * (draws[_DAMPNESS] - 0.5), 0.1, 1.0)
        pressure_pa = _MEAN_PA + _SWING_PA * (draws[_PRESSURE] - 0.5)
        sun_w_per_m2 = _SUN_W_PER_M2 * self._house.sunlight(at_us)
        columns = {
            Measurand.TEMPERATURE_C: temperature_c,
            Measurand.RELATIVE_HUMIDITY: humidity,
            Measurand.PRESSURE_PA: pressure_pa,
            Measurand.IRRADIANCE_W_PER_M2: sun_w_per_m2,
            Measurand.ILLUMINANCE_LX: sun_w_per_m2 * _LX_PER_W_PER_M2,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]
