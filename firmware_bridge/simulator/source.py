"""Where a meter's power comes from: a quantity of the generated home, or a recording."""

from typing import Literal, NamedTuple, Protocol

import numpy as np

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.battery import Battery
from firmware_bridge.simulator.energy import EnergyCounters
from firmware_bridge.simulator.faults import Values
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.minute import Minute
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.replay import Replay
from firmware_bridge.simulator.three_phase import Mains

# A sensor counts the pulses of the home's load.
Quantity = Literal["grid", "solar", "load", "battery", "sensor", "replay"]


class Flow(NamedTuple):
    """What a meter measures at one instant; power is positive when drawn."""

    power_w: float
    mains: Mains
    import_wh: float
    export_wh: float


class Source(Protocol):
    """Gives a meter its flow."""

    def flow(self, at_s: int) -> Flow:
        """The flow in that second, counted from the epoch."""
        ...


class Gauge(Protocol):
    """Gives a meter what is not a flow of power through it."""

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it knows."""
        ...

    def values(self, at_s: int) -> Values:
        """All of it in that second, SI."""
        ...


class HouseSource:
    """One quantity of a generated home."""

    def __init__(self, site: "Site", quantity: Quantity, start_us: UtcUs) -> None:
        """Measure `quantity`, its energy counted from `start_us`."""
        self._site, self._quantity = site, quantity
        self._counters = EnergyCounters(start_us, self._power_w)

    def flow(self, at_s: int) -> Flow:
        """The flow in that second."""
        power_w = self._now_w(at_s)
        return Flow(power_w, self._site.mains(at_s), *self._counters.at_wh(at_s * US_PER_S))

    def _now_w(self, at_s: int) -> float:
        if self._quantity == "battery":
            return self._site.battery_w(at_s)
        load_w, solar_w = self._site.power_w(at_s)
        if self._quantity == "grid":
            return load_w - solar_w + self._site.battery_at_grid_w(at_s)
        return 0.0 - solar_w if self._quantity == "solar" else load_w

    def _power_w(self, at_us: I64) -> F64:
        if self._quantity == "battery":
            return self._site.battery_power_w(at_us)
        power = self._site.house.power_w(at_us)
        if self._quantity == "grid":
            return power.load_w - power.solar_w + self._site.battery_power_w(at_us) * power.grid_is_up
        return 0.0 - power.solar_w if self._quantity == "solar" else power.load_w


class ReplaySource:
    """A recording, at the terminals of a grid that never fails."""

    def __init__(self, site: "Site", replay: Replay) -> None:
        self._site, self._replay = site, replay

    def flow(self, at_s: int) -> Flow:
        """The flow in that second."""
        at_us = at_s * US_PER_S
        return Flow(self._replay.power_at_w(at_us), self._site.mains(at_s), *self._replay.energy_at_wh(at_us))


class Site:
    """A home and its grid, second by second, for all its meters."""

    def __init__(self, house: House, battery: Battery | None = None) -> None:
        self.house, self.battery = house, battery
        self._power = Minute(self._minute_of_power)
        self._mains = Minute(self._minute_of_mains)

    def power_w(self, at_s: int) -> tuple[float, float]:
        """Load and solar production in that second, watts."""
        return self._power.at(at_s)

    def battery_w(self, at_s: int) -> float:
        """What the battery takes in that second; 0 in a home without one."""
        return 0.0 if self.battery is None else self.battery.state(at_s).power_w

    def battery_at_grid_w(self, at_s: int) -> float:
        """The same at the grid's terminals: its power is set once a minute, and an outage begins in any second."""
        return self.battery_w(at_s) if self.mains(at_s).hertz else 0.0

    def battery_power_w(self, at_us: I64) -> F64:
        """The same at each instant, `[n]`."""
        return np.zeros(at_us.shape) if self.battery is None else self.battery.power_w(at_us)

    def mains(self, at_s: int) -> Mains:
        """The grid in that second."""
        return self._mains.at(at_s)

    def _minute_of_power(self, at_us: I64) -> list[tuple[float, float]]:
        power = self.house.power_w(at_us)
        return list(zip(power.load_w.tolist(), power.solar_w.tolist(), strict=True))

    def _minute_of_mains(self, at_us: I64) -> list[Mains]:
        volts, hertz = self.house.voltage_v(at_us), self.house.frequency_hz(at_us)
        return [Mains((v1, v2, v3), hz) for v1, v2, v3, hz in zip(*volts.tolist(), hertz.tolist(), strict=True)]
