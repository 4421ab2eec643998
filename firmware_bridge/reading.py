"""A Reading: one measurand of one meter at one instant. Pure.

Instants are integer microseconds UTC, durations are monotonic seconds; the two have different
types so that they cannot be mixed. Intervals are half-open and named by their start.
"""

from enum import IntEnum
from typing import NewType

import msgspec

from firmware_bridge.measurand import Measurand

MeterId = NewType("MeterId", str)
UtcUs = NewType("UtcUs", int)
MonotonicS = NewType("MonotonicS", float)
# Microseconds since an arbitrary start, of a clock that nobody sets.
SteadyUs = NewType("SteadyUs", int)

US_PER_S = 1_000_000


class Quality(IntEnum):
    """How far a value can be trusted. The order counts: the worst is the largest."""

    GOOD = 0
    SUSPECT = 1
    MISSING = 2


class Series(msgspec.Struct, frozen=True, order=True):
    """The column a Reading belongs to: one measurand of one meter."""

    meter: MeterId
    measurand: Measurand

    def __str__(self) -> str:
        return f"{self.meter}.{self.measurand}"


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One measurand of one meter at one instant, in SI base units.

    `value` is None exactly when `quality` is MISSING: a meter that stays silent still yields a
    Reading, so every tick has the same columns. A Struct and not a dataclass because one is made
    for every value of every sweep: 0.07 us against 1.5 us.
    """

    meter: MeterId
    measurand: Measurand
    at_us: UtcUs
    value: float | None
    quality: Quality


def floor_us(at_us: UtcUs, period_us: int) -> UtcUs:
    """Start of the half-open interval of `period_us`, aligned to the epoch, that holds `at_us`."""
    return UtcUs(at_us - at_us % period_us)
