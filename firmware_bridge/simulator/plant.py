"""What a home's inverter knows besides the meter in it: panels, battery, loads, its own state."""

import numpy as np

from firmware_bridge.measurand import OPERATING_STATES, Measurand
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.battery import BatteryState
from firmware_bridge.simulator.energy import EnergyCounters
from firmware_bridge.simulator.faults import Values
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.source import Site

# What the inverter turns into heat, of what the panels give.
_EFFICIENCY = 0.97
# Two roofs.
_FIRST_STRING = 0.55
# The inverter's own output feeds what hangs on the first phase.
_LOAD_L1 = 0.4
# Wh that panels and battery had given before the scenario begins.
_PV_BEFORE_WH, _BATTERY_BEFORE_WH = 3_200_000.0, 850_000.0
_NO_BATTERY = BatteryState(0.0, 0.0, 0.0)

_OFF, _SLEEPING, _RUNNING = (OPERATING_STATES.index(state) for state in ("off", "sleeping", "running"))


class Plant:
    """Panels and battery of one home."""

    measurands = frozenset(
        {
            Measurand.OPERATING_STATE,
            Measurand.DC_POWER_W,
            Measurand.PV_POWER_W,
            Measurand.PV1_POWER_W,
            Measurand.PV2_POWER_W,
            Measurand.PV_ENERGY_WH,
            Measurand.LOAD_POWER_L1_W,
            Measurand.BATTERY_POWER_W,
            Measurand.BATTERY_VOLTAGE_V,
            Measurand.BATTERY_CURRENT_A,
            Measurand.BATTERY_DISCHARGE_WH,
            Measurand.STATE_OF_CHARGE,
        }
    )

    def __init__(self, site: Site, start_us: UtcUs) -> None:
        """Count energy from `start_us`, on top of what there was before."""
        self._site = site
        self._counters = EnergyCounters(start_us, self._pv_w)

    def values(self, at_s: int) -> Values:
        """What is known in that second, SI."""
        load_w, solar_w = self._site.power_w(at_s)
        pv_w = solar_w / _EFFICIENCY
        pv_wh, _ = self._counters.at_wh(at_s * US_PER_S)
        state = _RUNNING if solar_w > 0 else _SLEEPING
        return {
            Measurand.OPERATING_STATE: float(state if self._site.mains(at_s).hertz else _OFF),
            Measurand.DC_POWER_W: pv_w,
            Measurand.PV_POWER_W: pv_w,
            Measurand.PV1_POWER_W: pv_w * _FIRST_STRING,
            Measurand.PV2_POWER_W: pv_w * (1.0 - _FIRST_STRING),
            Measurand.PV_ENERGY_WH: _PV_BEFORE_WH + pv_wh,
            Measurand.LOAD_POWER_L1_W: load_w * _LOAD_L1,
            **self._battery(at_s),
        }

    def _battery(self, at_s: int) -> Values:
        battery = self._site.battery
        state = _NO_BATTERY if battery is None else battery.state(at_s)
        volts = 0.0 if battery is None else state.volts
        return {
            Measurand.BATTERY_POWER_W: state.power_w,
            Measurand.BATTERY_VOLTAGE_V: volts,
            Measurand.BATTERY_CURRENT_A: state.power_w / volts if volts else 0.0,
            Measurand.BATTERY_DISCHARGE_WH: _BATTERY_BEFORE_WH + state.discharged_wh if volts else 0.0,
            Measurand.STATE_OF_CHARGE: state.state_of_charge,
        }

    def _pv_w(self, at_us: I64) -> F64:
        return np.asarray(self._site.house.power_w(at_us).solar_w / _EFFICIENCY)
