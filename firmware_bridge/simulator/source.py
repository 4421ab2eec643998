"""Where a meter's power comes from: a quantity of the generated home, or a recording."""

from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.energy import EnergyCounters
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.replay import Replay
from firmware_bridge.simulator.three_phase import Mains

Quantity = Literal["grid", "solar", "load", "replay"]

# A home is computed a minute at a time: 60 instants cost as much as one (numpy's overhead), and
# the requests of one sweep fall into one minute also when simulated time races.
_MINUTE_S = 60

T = TypeVar("T")


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


class HouseSource:
    """One quantity of a generated home."""

    def __init__(self, site: "Site", quantity: Quantity, start_us: UtcUs) -> None:
        """Measure `quantity`, its energy counted from `start_us`."""
        self._site, self._quantity = site, quantity
        self._counters = EnergyCounters(start_us, self._power_w)

    def flow(self, at_s: int) -> Flow:
        """The flow in that second."""
        load_w, solar_w = self._site.power_w(at_s)
        power_w = {"grid": load_w - solar_w, "solar": 0.0 - solar_w, "load": load_w}[self._quantity]
        return Flow(power_w, self._site.mains(at_s), *self._counters.at_wh(at_s * US_PER_S))

    def _power_w(self, at_us: I64) -> F64:
        power = self._site.house.power_w(at_us)
        if self._quantity == "load":
            return power.load_w
        return (power.load_w if self._quantity == "grid" else 0.0) - power.solar_w


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

    def __init__(self, house: House) -> None:
        self.house = house
        self._power = _Minute(self._minute_of_power)
        self._mains = _Minute(self._minute_of_mains)

    def power_w(self, at_s: int) -> tuple[float, float]:
        """Load and solar production in that second, watts."""
        return self._power.at(at_s)

    def mains(self, at_s: int) -> Mains:
        """The grid in that second."""
        return self._mains.at(at_s)

    def _minute_of_power(self, at_us: I64) -> list[tuple[float, float]]:
        power = self.house.power_w(at_us)
        return list(zip(power.load_w.tolist(), power.solar_w.tolist(), strict=True))

    def _minute_of_mains(self, at_us: I64) -> list[Mains]:
        volts, hertz = self.house.voltage_v(at_us), self.house.frequency_hz(at_us)
        return [Mains((v1, v2, v3), hz) for v1, v2, v3, hz in zip(*volts.tolist(), hertz.tolist(), strict=True)]


class _Minute(Generic[T]):
    """The last minute that was asked for."""

    def __init__(self, compute: Callable[[I64], list[T]]) -> None:
        """Let `compute` give one item for each instant of a minute."""
        self._compute = compute
        self._minute: int | None = None
        self._items: list[T] = []

    def at(self, at_s: int) -> T:
        """The item of that second."""
        minute, second = divmod(at_s, _MINUTE_S)
        if minute != self._minute:
            seconds = minute * _MINUTE_S + np.arange(_MINUTE_S, dtype=np.int64)
            self._items, self._minute = self._compute(seconds * US_PER_S), minute
        return self._items[second]
