"""Late answers on a line without transaction numbers: what must not be asked while one may still come. Pure.

An answer of Modbus RTU tells its unit, its function and its length, not its request. When a request was
not answered in time, the next ones to that unit and function therefore ask for another number of
registers, until the late answer was seen or a while has passed: so it can never be taken for theirs.
"""

from collections.abc import Collection, Sequence

import msgspec

from firmware_bridge.reading import MonotonicS

# How late an answer can be. A meter answers within a second or never; a converter on a bad network holds
# answers back for a few more. A dead meter with a single register is asked this often at most.
LATE_S_MAX = 5.0


class _Lost(msgspec.Struct, frozen=True):
    unit: int
    function: int
    count: int
    until_s: float


class Guard:
    """The answers of one line that may still come."""

    def __init__(self, window_s: float = LATE_S_MAX) -> None:
        self._window_s = window_s
        self._lost: list[_Lost] = []

    def lost(self, unit: int, function: int, count: int, now_s: MonotonicS) -> None:
        """A request for `count` registers was not answered in time, or badly, or the wait was broken off."""
        self._forget(now_s)
        self._lost.append(_Lost(unit, function, count, now_s + self._window_s))

    def came(self, unit: int, function: int, count: int) -> None:
        """A frame came that answered no request: the answer to the oldest lost one it fits."""
        for one in self._lost:
            if (one.unit, one.function, one.count) == (unit, function, count):
                self._lost.remove(one)
                return

    def avoided(self, unit: int, function: int, now_s: MonotonicS) -> frozenset[int]:
        """The counts of registers not to ask this unit for; when there is one, an exception may be late too."""
        self._forget(now_s)
        return frozenset(one.count for one in self._lost if (one.unit, one.function) == (unit, function))

    def free_at_s(self, unit: int, function: int) -> MonotonicS | None:
        """When the next of the avoided counts can be asked for again; None when none is avoided."""
        ends = [one.until_s for one in self._lost if (one.unit, one.function) == (unit, function)]
        return MonotonicS(min(ends)) if ends else None

    def _forget(self, now_s: MonotonicS) -> None:
        self._lost = [one for one in self._lost if one.until_s > now_s]


def parts(
    address: int, count: int, cuts: Sequence[int], avoided: Collection[int], count_max: int = 0
) -> list[tuple[int, int]]:
    """What to ask instead of the block of `count` registers from `address`: addresses and counts, in order.

    `cuts` are the addresses at which the block may be cut without tearing a value. Best is the block
    itself, then two parts that make it up, the first as long as can be; then the block and registers
    behind it, up to `count_max` where the device allows that; then as much of either end as can be had.
    Empty: wait.
    """
    if count not in avoided:
        return [(address, count)]
    end = address + count
    inside = sorted({cut for cut in cuts if address < cut < end}, reverse=True)
    for cut in inside:
        if cut - address not in avoided and end - cut not in avoided:
            return [(address, cut - address), (cut, end - cut)]
    for longer in range(count + 1, count_max + 1):
        if longer not in avoided:
            return [(address, longer)]
    ends = [(address, cut - address) for cut in inside] + [(cut, end - cut) for cut in inside]
    free = [part for part in ends if part[1] not in avoided]
    return [max(free, key=lambda part: part[1])] if free else []
