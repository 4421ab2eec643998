"""Simulated time for tests: a day of sleeping takes milliseconds, in the right order."""

import heapq
import itertools
from collections.abc import Generator

from firmware_bridge.clock import Clock
from firmware_bridge.reading import US_PER_S, MonotonicS, SteadyUs, UtcUs

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

    is_trusted = True

    def trust(self, utc_us: UtcUs) -> None:
        """Nobody needs to tell this clock."""

    def steady_us(self) -> SteadyUs:
        return SteadyUs(self._now_us)

    def ahead_us(self) -> int:
        return 0

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


class LyingClock:
    """The wall clock of a machine that lives in the time of `true`: wrong, trusted or not, and set, as a test wants.

    Simulated time itself runs on: it is held and slept through as on `true`.
    """

    def __init__(self, true: Clock, *, wrong_by_us: int = 0, is_trusted: bool = True) -> None:
        self.true, self.wrong_by_us, self.is_trusted = true, wrong_by_us, is_trusted

    @property
    def rate(self) -> float:
        return self.true.rate

    def utc_us(self) -> UtcUs:
        return UtcUs(self.true.utc_us() + self.wrong_by_us)

    def trust(self, utc_us: UtcUs) -> None:
        self.wrong_by_us, self.is_trusted = utc_us - self.true.utc_us(), True

    def steady_us(self) -> SteadyUs:
        return SteadyUs(self.true.utc_us())

    def ahead_us(self) -> int:
        return self.wrong_by_us

    def monotonic_s(self) -> MonotonicS:
        return self.true.monotonic_s()

    async def sleep_until(self, at_us: UtcUs) -> None:
        while (left_us := at_us - self.utc_us()) > 0:
            await self.true.sleep_for(min(left_us / US_PER_S, self.rate))

    async def sleep_for(self, duration_s: float) -> None:
        await self.true.sleep_for(duration_s)

    async def rest_until(self, at_s: MonotonicS) -> None:
        await self.true.rest_until(at_s)

    def hold_before(self, at_us: UtcUs) -> None:
        """On the steady time, which nobody sets."""
        self.true.hold_before(at_us)


class _Turn:
    """One turn of the event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield
