"""Four weeks of one power of the site in forecast steps. Pure.

It is fed from recording periods alone, live and at start-up alike, so after a restart the window
is what was on disk.
"""

import numpy as np

from firmware_bridge.reading import UtcUs, floor_us
from gateway.contract.inputs import F64, Mask

# A step stands on at least half of its polls; less says too little about it.
KNOWN_FRACTION_MIN = 0.5


class Window:
    """A ring of steps: sum and weight of a power, newest at the end."""

    def __init__(self, *, step_us: int, steps: int, polls_per_step: int) -> None:
        self.step_us, self._steps = step_us, steps
        self._weight_min = polls_per_step * KNOWN_FRACTION_MIN
        self._sums = np.zeros(steps)
        self._weights = np.zeros(steps)
        self._end_us: UtcUs | None = None

    def add(self, start_us: UtcUs, mean_w: float | None, polls: int) -> None:
        """Take the mean of one recording period that began at `start_us`; the newest there is."""
        self.advance(UtcUs(floor_us(start_us, self.step_us) + self.step_us))
        self.recall(start_us, mean_w, polls)

    def recall(self, start_us: UtcUs, mean_w: float | None, polls: int) -> None:
        """Take one of the past, in any order; what the window does not reach to is left out."""
        if self._end_us is None:
            return
        index = self._steps + (floor_us(start_us, self.step_us) - self._end_us) // self.step_us
        if mean_w is not None and 0 <= index < self._steps:
            self._sums[index] += mean_w * polls
            self._weights[index] += polls

    def advance(self, end_us: UtcUs) -> None:
        """Let the window end at `end_us`; steps without data are unknown.

        More than a step back means that the clock was set back: what lies ahead of it now is dropped.
        """
        if self._end_us is None:
            self._end_us = end_us
        steps = max(-self._steps, min((end_us - self._end_us) // self.step_us, self._steps))
        if steps > 0:
            for ring in (self._sums, self._weights):
                ring[:-steps] = ring[steps:]
                ring[self._steps - steps :] = 0.0
            self._end_us = end_us
        elif steps < -1:
            for ring in (self._sums, self._weights):
                ring[-steps:] = ring[:steps]
                ring[:-steps] = 0.0
            self._end_us = end_us

    def history(self) -> tuple[F64, Mask]:
        """Average power of each step, watts, and which are known; oldest first."""
        known = self._weights >= self._weight_min
        return np.where(known, self._sums / np.maximum(self._weights, 1), 0.0), known

    def recent_w(self, steps: int) -> list[float | None]:
        """The last `steps` averages for a picture; None where unknown."""
        power, known = self.history()
        recent = zip(power[-steps:].tolist(), known[-steps:].tolist(), strict=True)
        return [round(value, 1) if is_known else None for value, is_known in recent]

    @property
    def end_us(self) -> UtcUs | None:
        """Where the window ends; None before the first period."""
        return self._end_us
