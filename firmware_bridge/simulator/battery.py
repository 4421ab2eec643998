"""A battery that takes what the panels leave over and gives it back when the home wants more. Pure.

Its charge depends on all that was before, so it is stepped minute by minute from the start of the
scenario, always in the same order: a restarted simulator comes to the same charge.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.noise import F64, I64

# Half its capacity in an hour, both ways: what home batteries are sold with.
_HOURS_TO_FILL = 2.0
# Of what goes in, this comes out; and so much always stays inside.
_EFFICIENCY = 0.95
_RESERVE = 0.1
_FIRST_CHARGE = 0.5
# Sixteen cells of lithium iron phosphate: nearly flat between empty and full.
_EMPTY_V, _FULL_V = 50.0, 54.0
# Days kept: the energy counters ask for eight at once, clients for the present one.
_DAYS_MAX = 16

_MINUTE_US = 60 * US_PER_S
_DAY_MINUTES = 1440
_MINUTES_PER_H = 60.0


class BatteryState(NamedTuple):
    """The battery in one second."""

    power_w: float  # positive while it charges
    state_of_charge: float
    discharged_wh: float  # since the start

    @property
    def volts(self) -> float:
        """At its terminals."""
        return _EMPTY_V + (_FULL_V - _EMPTY_V) * self.state_of_charge


class _Day(NamedTuple):
    """One day since the start: power in each minute, the rest at each minute's start and at the end."""

    power_w: F64
    charge_wh: F64
    discharged_wh: F64


class Battery:
    """One battery, its power decided once a minute."""

    def __init__(self, capacity_wh: float, start_us: UtcUs, surplus_w: Callable[[I64], F64]) -> None:
        """Work with what `surplus_w` leaves: watts at instants, negative when the home wants more."""
        self._capacity_wh, self._start_us, self._surplus_w = capacity_wh, start_us, surplus_w
        self._begins = [(capacity_wh * _FIRST_CHARGE, 0.0)]  # charge and discharged energy by day
        self._days: dict[int, _Day] = {}

    def power_w(self, at_us: I64) -> F64:
        """Power at each instant, `[n]`; positive while it charges, 0 before the start."""
        days, minutes = np.divmod((at_us - self._start_us) // _MINUTE_US, _DAY_MINUTES)
        power_w = np.zeros(at_us.shape)
        for day in np.unique(days[days >= 0]).tolist():
            mine = days == day
            power_w[mine] = self._day(day).power_w[minutes[mine]]
        return power_w

    def state(self, at_s: int) -> BatteryState:
        """The battery in that second."""
        since_us = at_s * US_PER_S - self._start_us
        if since_us < 0:
            return BatteryState(0.0, _FIRST_CHARGE, 0.0)
        minute, rest_us = divmod(since_us, _MINUTE_US)
        number, minute = divmod(minute, _DAY_MINUTES)
        day, share = self._day(number), rest_us / _MINUTE_US
        charge_wh = day.charge_wh[minute] + (day.charge_wh[minute + 1] - day.charge_wh[minute]) * share
        gone = day.discharged_wh
        discharged_wh = gone[minute] + (gone[minute + 1] - gone[minute]) * share
        return BatteryState(float(day.power_w[minute]), float(charge_wh / self._capacity_wh), float(discharged_wh))

    def _day(self, number: int) -> _Day:
        while len(self._begins) <= number + 1:
            last = self._step(len(self._begins) - 1)
            self._begins.append((float(last.charge_wh[-1]), float(last.discharged_wh[-1])))
        if number not in self._days:
            if len(self._days) >= _DAYS_MAX:
                del self._days[next(iter(self._days))]
            self._days[number] = self._step(number)
        return self._days[number]

    def _step(self, number: int) -> _Day:
        """One day, minute by minute."""
        if number in self._days:
            return self._days[number]
        minutes = number * _DAY_MINUTES + np.arange(_DAY_MINUTES, dtype=np.int64)
        most_w = self._capacity_wh / _HOURS_TO_FILL
        offered_w = np.clip(self._surplus_w(self._start_us + minutes * _MINUTE_US + _MINUTE_US // 2), -most_w, most_w)
        charge_wh, reserve_wh = self._begins[number][0], self._capacity_wh * _RESERVE
        power_w, charges_wh = [], [charge_wh]
        for offer_w in offered_w.tolist():
            room_w = (self._capacity_wh - charge_wh) / _EFFICIENCY * _MINUTES_PER_H
            left_w = (charge_wh - reserve_wh) * _MINUTES_PER_H
            taken_w = max(min(offer_w, room_w), -left_w)
            charge_wh += taken_w * (_EFFICIENCY if taken_w > 0 else 1.0) / _MINUTES_PER_H
            power_w.append(taken_w)
            charges_wh.append(charge_wh)
        powers_w = np.array(power_w)
        given_wh = np.concatenate([[0.0], np.cumsum(np.maximum(-powers_w, 0.0))]) / _MINUTES_PER_H
        return _Day(powers_w, np.array(charges_wh), self._begins[number][1] + given_wh)
