"""Simulated time for tests: a day of sleeping takes milliseconds, in the right order."""

import heapq
import itertools
from collections.abc import Generator

from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs

START_US = UtcUs(1_700_000_000 * US_PER_S)
# Turns of the event loop in which other tasks may act (and go to sleep themselves, earlier) before
# the time moves on. Chains of tasks that wake each other within one instant are far shorter.
_TURNS = 16


class SimClock:
    """A `Clock` whose time stands still while anyone works and jumps when the earliest sleeper is next.

    Only for tasks that wait for this clock or for each other: I/O of the real world takes no time here.
    """

    rate = 1.0

    def __init__(self, start_us: UtcUs = START_US) -> None:
        self._start_us = start_us
        self._now_us = start_us
        self._order = itertools.count()
        self._sleepers: list[tuple[UtcUs, int]] = []

    def utc_us(self) -> UtcUs:
        return self._now_us

    def monotonic_s(self) -> MonotonicS:
        return MonotonicS((self._now_us - self._start_us) / US_PER_S)

    def advance(self, duration_s: float) -> None:
        """Let time pass without sleeping, as a slow piece of work does."""
        self._now_us = UtcUs(self._now_us + round(duration_s * US_PER_S))

    async def sleep_until(self, at_us: UtcUs) -> None:
        sleeper = (at_us, next(self._order))
        heapq.heappush(self._sleepers, sleeper)
        try:
            while True:
                for _ in range(_TURNS):
                    await _Turn()
                if self._now_us >= at_us:
                    return
                if self._sleepers[0] == sleeper:
                    self._now_us = at_us
                    return
        finally:
            self._sleepers.remove(sleeper)
            heapq.heapify(self._sleepers)

    async def sleep_for(self, duration_s: float) -> None:
        await self.sleep_until(UtcUs(self._now_us + round(duration_s * US_PER_S)))

    async def rest_until(self, at_s: MonotonicS) -> None:
        await self.sleep_until(UtcUs(self._start_us + round(at_s * US_PER_S)))

    def hold_before(self, at_us: UtcUs) -> None:
        """Nothing to hold: time stands still by itself."""


class _Turn:
    """One turn of the event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield
