"""What time it is at this gateway, although the machine's clock may be wrong, and be set at any moment. Pure.

Between two looks time runs steadily: nothing that is made within one tick is torn by a clock that is set
meanwhile. A look takes over what the machine says, and tells by how much that was another time.

Not trusted is a clock that no time server and no cloud stands behind, or that shows a time before the newest one
that is on disk. It is a guess, and what is stamped by it is stamped anew once the guess is over.
"""

from dataclasses import dataclass

from firmware_bridge.reading import US_PER_S, SteadyUs, UtcUs

# A jump of this size is a clock that was set. Smaller ones are a time server's daily work: they are followed so
# slowly that ticks stay in order and none is left out.
STEP_US_MIN = 2 * US_PER_S
SLEW_US_MAX = US_PER_S // 10


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The clock was set between two ticks: it shows `by_us` more than it would have.

    What it showed before was a guess unless `was_trusted`.
    """

    by_us: int
    was_trusted: bool


class Timekeeping:
    """Follows a clock from look to look."""

    def __init__(self, steady_us: SteadyUs, clock_us: UtcUs, *, is_trusted: bool) -> None:
        """Begin with what the clock says now."""
        self._ahead_us = clock_us - steady_us
        self._newest_us = UtcUs(0)
        self.is_trusted = is_trusted

    def now_us(self, steady_us: SteadyUs) -> UtcUs:
        """What time it is at `steady_us`."""
        return UtcUs(steady_us + self._ahead_us)

    def not_before(self, newest_us: UtcUs, steady_us: SteadyUs) -> None:
        """It can hardly be earlier than `newest_us`, which a trusted clock once showed.

        Nobody's guess is worse than that instant: most power cuts are short. Where a time server says so, one of the
        two is wrong: it is followed, and not trusted.
        """
        self._newest_us = newest_us
        if self._is_too_early(self.now_us(steady_us)):
            if not self.is_trusted:
                self._ahead_us = newest_us - steady_us
            self.is_trusted = False

    def believe(self) -> None:
        """The cloud signed what the clock says: that outranks what is on disk."""
        self._newest_us = UtcUs(0)

    def look(self, steady_us: SteadyUs, clock_us: UtcUs, *, is_trusted: bool) -> ClockSet | None:
        """Take over what the clock says, if that can be; tell when it was set.

        A clock that was trusted stays so: the kernel forgets its time server after some hours without a
        network, and goes on as well as it can.
        """
        by_us, was_trusted = clock_us - self.now_us(steady_us), self.is_trusted
        is_too_early = self._is_too_early(clock_us)
        if is_too_early and not (was_trusted or is_trusted):
            return None
        self.is_trusted = was_trusted or (is_trusted and not is_too_early)
        if abs(by_us) < STEP_US_MIN and self.is_trusted == was_trusted:
            self._ahead_us += max(-SLEW_US_MAX, min(by_us, SLEW_US_MAX))
            return None
        self._ahead_us += by_us
        return ClockSet(by_us, was_trusted)

    def _is_too_early(self, clock_us: UtcUs) -> bool:
        return clock_us < self._newest_us - STEP_US_MIN
