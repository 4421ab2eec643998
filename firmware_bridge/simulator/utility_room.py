"""What sensors in a home's utility room feel: its gas meter, its pump, its air and its door. Pure."""

import numpy as np

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.energy import EnergyCounters
from firmware_bridge.simulator.faults import Values
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.minute import Minute
from firmware_bridge.simulator.noise import F64, I64, Noise, stream_root, uniform_at
from firmware_bridge.simulator.wall_clock import HOUR_S
from firmware_bridge.simulator.weather import Weather

# Streams of chance, each with its period: shaking of the pump, people in the room, the door.
_SHAKING, _PEOPLE, _DOOR = range(3)
_PERIODS_S = np.array([1, HOUR_S, 600])
_SEED, _GAS_STREAM = 1 << 44, 9

# A boiler heats below this, and at most with so much gas; a pilot flame always burns.
_WARM_C, _COLD_C = 17.0, -10.0
_BOILER_M3_PER_H, _PILOT_M3_PER_H = 2.5, 0.01
_BEFORE_M3 = (100.0, 4_000.0)
# Carbon dioxide as volume fraction: the air outside, and what people add to it.
_FRESH_AIR, _BREATHED_AIR = 420e-6, 900e-6
# Root mean square velocity of a small pump, running and standing.
_RUNNING_M_PER_S, _STANDING_M_PER_S = 1.8e-3, 5e-5
_PUMP_PERIOD_S, _PUMP_ON_S = 1_200, 480
_DOOR_OPEN = 0.06


class UtilityRoom:
    """Gas, vibration, air and the contact of a door."""

    measurands = frozenset(
        {
            Measurand.GAS_VOLUME_M3,
            Measurand.GAS_CONCENTRATION,
            Measurand.VIBRATION_M_PER_S,
            Measurand.CONTACT,
        }
    )

    def __init__(self, house: House, weather: Weather, start_us: UtcUs) -> None:
        """Count gas from `start_us`, on top of what was burnt before."""
        self._weather = weather
        self._noise = Noise(house.seed + _SEED, len(_PERIODS_S))
        self._gas = EnergyCounters(start_us, self._gas_m3_per_h)
        share = uniform_at(stream_root(house.seed + _SEED, _GAS_STREAM), 0)
        self._before_m3 = _BEFORE_M3[0] + (_BEFORE_M3[1] - _BEFORE_M3[0]) * share
        self._minute = Minute(self._values)

    def values(self, at_s: int) -> Values:
        """What is felt in that second, SI."""
        burnt_m3, _ = self._gas.at_wh(at_s * US_PER_S)
        return {**self._minute.at(at_s), Measurand.GAS_VOLUME_M3: self._before_m3 + burnt_m3}

    def _gas_m3_per_h(self, at_us: I64) -> F64:
        need = (_WARM_C - self._weather.temperature_c(at_us)) / (_WARM_C - _COLD_C)
        return np.asarray(_PILOT_M3_PER_H + _BOILER_M3_PER_H * np.clip(need, 0.0, 1.0))

    def _values(self, at_us: I64) -> list[Values]:
        at_s = at_us // US_PER_S
        smooth = self._noise.smooth(at_s, _PERIODS_S)
        draws = self._noise.uniform(at_s // _PERIODS_S[:, np.newaxis])
        runs = at_s % _PUMP_PERIOD_S < _PUMP_ON_S
        shaking = np.where(runs, _RUNNING_M_PER_S, _STANDING_M_PER_S) * (0.8 + 0.4 * smooth[_SHAKING])
        air = _FRESH_AIR + _BREATHED_AIR * smooth[_PEOPLE]
        is_closed = draws[_DOOR] >= _DOOR_OPEN
        rows = zip(shaking.tolist(), air.tolist(), is_closed.astype(np.float64).tolist(), strict=True)
        names = (Measurand.VIBRATION_M_PER_S, Measurand.GAS_CONCENTRATION, Measurand.CONTACT)
        return [dict(zip(names, row, strict=True)) for row in rows]
