"""Two tariffs: what was drawn and fed back at night, and the rest. Pure.

Only one of the two counters moves at a time, as in a meter that is switched over.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from firmware_bridge.simulator.wall_clock import zone_named

# Wall clock: the low tariff begins, the normal one begins.
_LOW_FROM, _NORMAL_FROM = time(23), time(7)
# What of all before the scenario fell into the low tariff.
_LOW_BEFORE = 0.4

Energy = tuple[float, float]


class TwoTariffs:
    """The low tariff's part of two counters."""

    def __init__(self, energy_wh: Callable[[int], Energy], start_s: int, time_zone: str) -> None:
        """Split `energy_wh`, drawn and fed back until a second, which stands still before `start_s`."""
        self._energy_wh, self._zone = energy_wh, zone_named(time_zone)
        self._day = datetime.fromtimestamp(start_s, UTC).astimezone(self._zone).date() - timedelta(days=2)
        drawn_wh, fed_wh = energy_wh(start_s)
        # Where the tariff changed, the low one first; what both and what the low one had counted there.
        self._switches_s = [self._at(self._day, _LOW_FROM)]
        self._both_wh = [(drawn_wh, fed_wh)]
        self._low_wh = [(drawn_wh * _LOW_BEFORE, fed_wh * _LOW_BEFORE)]

    def is_low(self, at_s: int) -> bool:
        """Whether the low tariff counts in that second."""
        return self._switch(at_s) % 2 == 0

    def total_wh(self, at_s: int) -> Energy:
        """Drawn and fed back in both tariffs until that second."""
        return self._energy_wh(at_s)

    def low_wh(self, at_s: int) -> Energy:
        """Drawn and fed back in the low tariff until that second."""
        place = self._switch(at_s)
        return self._low_wh[place] if place % 2 else self._added(place, self._energy_wh(at_s))

    def _switch(self, at_s: int) -> int:
        """Which switch was the last one; there are none before the first."""
        while self._switches_s[-1] <= at_s:
            self._add_switch()
        return max(bisect_right(self._switches_s, at_s) - 1, 0)

    def _add_switch(self) -> None:
        last = len(self._switches_s) - 1
        is_morning = last % 2 == 0
        if is_morning:
            self._day += timedelta(days=1)
        next_s = self._at(self._day, _NORMAL_FROM if is_morning else _LOW_FROM)
        self._both_wh.append(self._energy_wh(next_s))
        self._low_wh.append(self._added(last, self._both_wh[-1]) if is_morning else self._low_wh[last])
        self._switches_s.append(next_s)

    def _added(self, place: int, now: Energy) -> Energy:
        """The low counters when both have counted `now`, in the low tariff that began at a switch."""
        since, low = self._both_wh[place], self._low_wh[place]
        return low[0] + now[0] - since[0], low[1] + now[1] - since[1]

    def _at(self, day: date, wall: time) -> int:
        return int(datetime.combine(day, wall, tzinfo=self._zone).timestamp())
