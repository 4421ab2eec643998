"""The clock that all parts of the gateway share: the machine's, taken over between two ticks and never within one."""

from firmware_bridge.clock import Clock
from firmware_bridge.reading import US_PER_S, MonotonicS, SteadyUs, UtcUs
from gateway.core.timekeeping import ClockSet, Timekeeping

# Real seconds after which a sleeper looks whether the clock was set meanwhile.
_NAP_S = 1.0


class Timekeeper:
    """A `Clock` that runs steadily from one `follow` to the next."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        steady_us, clock_us = self._pair()
        self._time = Timekeeping(steady_us, clock_us, is_trusted=machine.is_trusted)

    def follow(self) -> ClockSet | None:
        """Take over what the machine's clock says now; tell when it was set. Called by the tick alone."""
        steady_us, clock_us = self._pair()
        return self._time.look(steady_us, clock_us, is_trusted=self._machine.is_trusted)

    def not_before(self, newest_us: UtcUs) -> None:
        """It can hardly be earlier than `newest_us`, the newest instant on disk."""
        self._time.not_before(newest_us, self._machine.steady_us())

    @property
    def rate(self) -> float:
        """Simulated seconds per real second."""
        return self._machine.rate

    @property
    def is_trusted(self) -> bool:
        """Whether `utc_us` is the world's time, as far as the last `follow` could know."""
        return self._time.is_trusted

    def trust(self, utc_us: UtcUs) -> None:
        """Take the cloud's word; it counts from the next `follow`."""
        self._machine.trust(utc_us)
        self._time.believe()

    def steady_us(self) -> SteadyUs:
        """Microseconds since an arbitrary start."""
        return self._machine.steady_us()

    def ahead_us(self) -> int:
        """How far `utc_us` is ahead of `steady_us`."""
        return self._time.now_us(SteadyUs(0))

    def utc_us(self) -> UtcUs:
        """The present instant."""
        return self._time.now_us(self._machine.steady_us())

    def monotonic_s(self) -> MonotonicS:
        """Real seconds since an arbitrary start."""
        return self._machine.monotonic_s()

    async def sleep_until(self, at_us: UtcUs) -> None:
        """Return at `at_us`; a clock that is set during the sleep is noticed within a second."""
        while (left_us := at_us - self.utc_us()) > 0:
            await self._machine.sleep_for(min(left_us / US_PER_S, _NAP_S * self.rate))

    async def sleep_for(self, duration_s: float) -> None:
        """Sleep `duration_s` of the machine's seconds."""
        await self._machine.sleep_for(duration_s)

    async def rest_until(self, at_s: MonotonicS) -> None:
        """Return at the real instant `at_s`."""
        await self._machine.rest_until(at_s)

    def hold_before(self, at_us: UtcUs) -> None:
        """Keep simulated time below `at_us`: the machine counts it steadily, whatever it is set to."""
        self._machine.hold_before(UtcUs(at_us - self.ahead_us()))

    def _pair(self) -> tuple[SteadyUs, UtcUs]:
        """One instant on both clocks: simulated time runs hours while this function is called."""
        steady_us = self._machine.steady_us()
        return steady_us, UtcUs(steady_us + self._machine.ahead_us())
