"""The energy counters of a meter whose power is a function of the instant. Pure.

Power is sampled in the middle of each minute and summed up from the start of the scenario, always
in the same order, so that a counter shows the same after a restart and never falls.
"""

from collections.abc import Callable

import numpy as np

from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.wall_clock import DAY_S

_MINUTE_US = 60 * US_PER_S
_DAY_US = DAY_S * US_PER_S
_DAY_MINUTES = 1440
_MINUTES_PER_H = 60.0
# Days summed in one go: enough to make numpy's overhead vanish, few enough for small memory.
_DAYS_AT_ONCE = 8


class EnergyCounters:
    """Energy drawn and fed back since `start_us`, Wh."""

    def __init__(self, start_us: UtcUs, power_w: Callable[[I64], F64]) -> None:
        """Count what `power_w` gives: watts at instants, positive when drawn."""
        self._start_us, self._power_w = start_us, power_w
        self._totals_wh = [(0.0, 0.0)]  # at the start of each day summed so far
        self._day = -1
        self._sums_wh: tuple[list[float], list[float]] = ([], [])  # within `_day`, at each minute's start

    def at_wh(self, at_us: int) -> tuple[float, float]:
        """Drawn and fed back until `at_us`; both 0 before the start."""
        day, since_us = divmod(max(at_us - self._start_us, 0), _DAY_US)
        if day != self._day:
            self._open(day)
        minute, rest_us = divmod(since_us, _MINUTE_US)
        drawn_wh, fed_wh = self._totals_wh[day]
        share = rest_us / _MINUTE_US
        return drawn_wh + _between(self._sums_wh[0], minute, share), fed_wh + _between(
            self._sums_wh[1], minute, share
        )

    def _open(self, day: int) -> None:
        while len(self._totals_wh) <= day + 1:
            first = len(self._totals_wh) - 1
            self._add(*self._sum(first, _DAYS_AT_ONCE))
        drawn, fed = self._sum(day, 1)
        self._sums_wh, self._day = (drawn[0].tolist(), fed[0].tolist()), day

    def _add(self, drawn: F64, fed: F64) -> None:
        for drawn_wh, fed_wh in zip(drawn[:, -1].tolist(), fed[:, -1].tolist(), strict=True):
            before = self._totals_wh[-1]
            self._totals_wh.append((before[0] + drawn_wh, before[1] + fed_wh))

    def _sum(self, day: int, days: int) -> tuple[F64, F64]:
        """Running sums of each day, `[days, 1441]`: drawn and fed back."""
        minutes = np.arange(days * _DAY_MINUTES, dtype=np.int64) * _MINUTE_US
        power_w = self._power_w(self._start_us + day * _DAY_US + _MINUTE_US // 2 + minutes).reshape(days, -1)
        return _running_wh(np.maximum(power_w, 0.0)), _running_wh(np.maximum(-power_w, 0.0))


def _running_wh(power_w: F64) -> F64:
    sums = np.cumsum(power_w, axis=1) / _MINUTES_PER_H
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)


def _between(sums_wh: list[float], minute: int, share: float) -> float:
    return sums_wh[minute] + (sums_wh[minute + 1] - sums_wh[minute]) * share
