"""What may be published as good, told from the facts of each measurand and the rated power alone.

Written apart from quality.py and counter.py, after what they promise: a value lies in the range of its
measurand, behind its main breaker; it follows from the last good one as fast as the quantity can change, or
from the possible one before it, which showed the new level first.
"""

from collections.abc import Iterable
from math import inf

from firmware_bridge.profile import Profile, Register
from firmware_bridge.reading import US_PER_S, Quality, Reading

# A main breaker carries a fifth more for a while.
OVERLOAD = 1.2
# The least voltage of mains.
MAINS_V = 100.0
# A meter may show an old value for a second, and a counter for five minutes.
REFRESH_S, COUNTER_REFRESH_S = 1.0, 300.0
# Of sums of floats; and the step of a float in a register.
ROUNDING = 1.002
F32_STEP = 2.0**-22
# A scale register that moves by one takes a digit from a counter.
SCALE_STEPS = 10


class PublishedLimits:
    """Watches everything that one meter publishes."""

    def __init__(self, profile: Profile, rated_power_w: float) -> None:
        self._columns = [
            (_Counting if register.measurand.facts.is_counter else _Column)(register, rated_power_w)
            for register in profile.registers
        ]

    def breaches(self, readings: Iterable[Reading]) -> list[Reading]:
        """Those of a sweep that were published as good and must not have been."""
        return [
            reading
            for reading, column in zip(readings, self._columns, strict=True)
            if reading.value is not None and not column.allows(reading)
        ]


class _Column:
    """One series: the last value that was good, and what was shown since."""

    def __init__(self, register: Register, rated_power_w: float) -> None:
        facts, most = register.measurand.facts, inf
        if facts.unit in ("W", "var", "VA", "A"):
            most = rated_power_w * OVERLOAD / (MAINS_V if facts.unit == "A" else 1)
        self._low, self._high = max(facts.plausible_low, -most), min(facts.plausible_high, most)
        self._rate_per_s = inf if facts.rate_max_per_s is None else facts.rate_max_per_s * ROUNDING
        self._at_us = -1
        self._good: Reading | None = None
        self._doubted: Reading | None = None

    def allows(self, reading: Reading) -> bool:
        """Whether it may be published as it is; a repeated reading was looked at when it was new."""
        if reading.at_us == self._at_us:
            return True
        self._at_us = reading.at_us
        is_in_range = self._low <= reading.value <= self._high
        if reading.quality is not Quality.GOOD:
            # what cannot be at all neither confirms nor denies
            self._doubted = reading if is_in_range else self._doubted
            return True
        good, doubted = self._good, self._doubted
        is_right = is_in_range and (
            good is None or self._follows(good, reading) or (doubted is not None and self._confirms(doubted, reading))
        )
        self._good, self._doubted = reading, None
        return is_right

    def _follows(self, good: Reading, reading: Reading) -> bool:
        """Whether it can have become this since it was last good."""
        elapsed_s = max((reading.at_us - good.at_us) / US_PER_S, REFRESH_S)
        return abs(reading.value - good.value) <= self._rate_per_s * elapsed_s

    def _confirms(self, doubted: Reading, reading: Reading) -> bool:
        """Whether it shows the same level as the read before it."""
        return self._follows(doubted, reading)


class _Counting(_Column):
    """A counter of energy: it rises, and no faster than the main breaker lets it."""

    def __init__(self, register: Register, rated_power_w: float) -> None:
        super().__init__(register, rated_power_w)
        assert register.measurand.facts.unit == "Wh", register
        self._rate_per_s = rated_power_w * OVERLOAD / 3600 * ROUNDING
        self._step = abs(register.numerator / register.denominator)
        self._steps_back = 1 if register.scale_address is None else SCALE_STEPS

    def _follows(self, good: Reading, reading: Reading) -> bool:
        elapsed_s = (reading.at_us - good.at_us) / US_PER_S
        return -self._steps_back * self._step <= reading.value - good.value <= self._room(good, elapsed_s)

    def _confirms(self, doubted: Reading, reading: Reading) -> bool:
        elapsed_s = (reading.at_us - doubted.at_us) / US_PER_S
        return 0 <= reading.value - doubted.value <= self._room(doubted, elapsed_s + COUNTER_REFRESH_S)

    def _room(self, before: Reading, seconds: float) -> float:
        return self._rate_per_s * seconds + self._step + abs(before.value) * F32_STEP
