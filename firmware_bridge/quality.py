"""How far the values of one meter can be trusted: range, rate of change, counters, and one beside another. Pure.

CRC-16 lets one damaged frame in 65,536 through, and a meter that boots shows anything. What cannot be true,
or not yet, is kept and marked SUSPECT with its reason. A rate that was exceeded, like an outage that takes
230 V at once, is believed with the second read that shows the new level.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import cast

import msgspec

from firmware_bridge.counter import Counter, CounterState
from firmware_bridge.counter_event import CounterEvent
from firmware_bridge.counter_rules import RATED_POWER_FACTOR, CounterRules
from firmware_bridge.cross_check import cross_checks
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, Quality, UtcUs

# The lowest nominal voltage of mains: what current the rated power can be, on one phase alone.
_MAINS_V_MIN = 100.0
# The lowest voltage of a battery that feeds a site, 12 V and empty.
_BATTERY_V_MIN = 10.0
_POWER_UNITS = {"W", "var", "VA"}
# Registers are refreshed about once a second, so two quick reads may see a whole second's change.
_RATE_S_MIN = 1.0
# So that a step of exactly the allowed rate, in floats, is within it.
_RATE_ROUNDING = 1.001
_NEVER_US = UtcUs(-1)

_GOOD, _SUSPECT, _MISSING = Quality.GOOD, Quality.SUSPECT, Quality.MISSING


class Reason(StrEnum):
    """Why a value is suspect."""

    # outside what any site, or this one behind its main breaker, can show
    RANGE = "range"
    # changed faster than the quantity can, and not yet confirmed
    RATE = "rate"
    # does not fit the meter's other values
    CROSS = "cross"
    # contradicts what was counted, and not yet explained
    COUNTER = "counter"


class RowVerdict(msgspec.Struct, frozen=True):
    """What one row of a meter's values is worth, by place in the row.

    `reasons` has the suspect ones alone, `advances` what counters are to be booked with, where that is
    not 0, in the unit of the series.
    """

    qualities: list[Quality]
    reasons: dict[int, Reason]
    advances: dict[int, float]
    events: list[CounterEvent]


def plausible_bounds(measurand: Measurand, rated_power_w: float) -> tuple[float, float]:
    """The lowest and highest value that can be true behind a main breaker of `rated_power_w`."""
    facts = measurand.facts
    if facts.unit in _POWER_UNITS:
        most = rated_power_w * RATED_POWER_FACTOR
    elif facts.unit == "A":
        is_battery = measurand is Measurand.BATTERY_CURRENT_A
        most = rated_power_w * RATED_POWER_FACTOR / (_BATTERY_V_MIN if is_battery else _MAINS_V_MIN)
    else:
        return facts.plausible_low, facts.plausible_high
    return max(facts.plausible_low, -most), min(facts.plausible_high, most)


class Plausibility:
    """Judges the rows of one meter, in order.

    A row may hold values that were read in an earlier sweep, with the instant of that read: they keep the
    quality they had. Not for two threads.
    """

    def __init__(
        self,
        measurands: Sequence[Measurand],
        rated_power_w: float,
        counters: Mapping[Measurand, CounterRules],
        states: Mapping[Measurand, CounterState] | None = None,
    ) -> None:
        """Judge values in the order of `measurands`; each counting one has its rules in `counters`.

        `states` is what `counter_states` of an earlier run gave.
        """
        self._bounds = [plausible_bounds(measurand, rated_power_w) for measurand in measurands]
        self._steady = [
            _Steady(place, measurand.facts.rate_max_per_s)
            for place, measurand in enumerate(measurands)
            if measurand.facts.rate_max_per_s is not None
        ]
        self._steady_at = {steady.place: steady for steady in self._steady}
        self._counting = [
            _Counting(place, measurand, Counter(counters[measurand], (states or {}).get(measurand)))
            for place, measurand in enumerate(measurands)
            if measurand.facts.is_counter
        ]
        self._checks = cross_checks(measurands, rated_power_w)
        self._instants: list[UtcUs] = [_NEVER_US] * len(measurands)
        self.counts: dict[Reason, int] = dict.fromkeys(Reason, 0)

    @property
    def counter_states(self) -> dict[Measurand, CounterState]:
        """What the counters remember, to be kept over a restart."""
        return {one.measurand: one.counter.state for one in self._counting}

    def judge(
        self, values: Sequence[float | None], instants: Sequence[UtcUs], identity: str | None = None
    ) -> RowVerdict:
        """What a row is worth: `values` in the order of the series, each with the instant of its read.

        `identity` is the serial number of the meter that answered; None while it is unknown.
        """
        qualities = [
            _MISSING if value is None else _GOOD if low <= value <= high else _SUSPECT
            for value, (low, high) in zip(values, self._bounds, strict=True)
        ]
        reasons: dict[int, Reason] = {}
        if _SUSPECT in qualities:
            reasons = {place: Reason.RANGE for place, one in enumerate(qualities) if one is _SUSPECT}
        # None goes with MISSING, and only what is GOOD so far is looked at below.
        known = cast("Sequence[float]", values)
        for steady in self._steady:
            place = steady.place
            if qualities[place] is _GOOD and not steady.believes(known[place], instants[place]):
                qualities[place], reasons[place] = _SUSPECT, Reason.RATE
        verdict = RowVerdict(qualities, reasons, {}, [])
        self._count_on(verdict, known, instants, identity)
        self._compare(verdict, known, instants)
        if reasons:
            self._tally(reasons, instants)
        self._instants = list(instants)
        return verdict

    def _count_on(
        self, verdict: RowVerdict, values: Sequence[float], instants: Sequence[UtcUs], identity: str | None
    ) -> None:
        qualities = verdict.qualities
        for counting in self._counting:
            place = counting.place
            if qualities[place] is not _GOOD:
                continue
            if instants[place] != self._instants[place]:
                judgement = counting.counter.judge(values[place], instants[place], identity)
                counting.quality = judgement.quality
                if judgement.advance:
                    verdict.advances[place] = judgement.advance
                if judgement.event is not None:
                    verdict.events.append(judgement.event)
            if counting.quality is _SUSPECT:
                qualities[place], verdict.reasons[place] = _SUSPECT, Reason.COUNTER

    def _compare(self, verdict: RowVerdict, values: Sequence[float], instants: Sequence[UtcUs]) -> None:
        """Run the checks whose members are good so far: one value that is suspect must not spoil its neighbours."""
        qualities = verdict.qualities
        blamed: list[int] = []
        for check in self._checks:
            first_us, within_us = instants[check.members[0]], check.within_us
            for place in check.members:
                if qualities[place] is not _GOOD or abs(instants[place] - first_us) > within_us:
                    break
            else:
                if check.holds(values):
                    check.note_success()
                    continue
                if any(instants[place] != self._instants[place] for place in check.members):
                    check.note_failure()
                if not check.is_ignored:
                    blamed += check.blamed
        self._blame(verdict, blamed)

    def _blame(self, verdict: RowVerdict, places: Sequence[int]) -> None:
        for place in places:
            verdict.qualities[place], verdict.reasons[place] = _SUSPECT, Reason.CROSS
            if (steady := self._steady_at.get(place)) is not None:
                steady.withdraw()

    def _tally(self, reasons: Mapping[int, Reason], instants: Sequence[UtcUs]) -> None:
        for place, reason in reasons.items():
            if instants[place] != self._instants[place]:
                self.counts[reason] += 1


class _Steady:
    """A series that cannot change faster than its rate."""

    __slots__ = (
        "_at_us",
        "_before",
        "_held",
        "_held_us",
        "_is_believed",
        "_rate_per_s",
        "_read_us",
        "_value",
        "place",
    )

    def __init__(self, place: int, rate_per_s: float) -> None:
        self.place = place
        self._rate_per_s = rate_per_s * _RATE_ROUNDING
        # the level that is believed, and the one that waits to be confirmed
        self._value: float | None = None
        self._at_us = self._held_us = self._read_us = _NEVER_US
        self._held: float | None = None
        # the level before the last read, and its instant
        self._before: tuple[float | None, UtcUs] = (None, _NEVER_US)
        self._is_believed = True

    def believes(self, value: float, at_us: UtcUs) -> bool:
        """Whether the value follows from the level that is believed, or confirms the one that waits."""
        if at_us == self._read_us:
            return self._is_believed
        self._read_us = at_us
        self._is_believed = self._reaches(self._value, self._at_us, value, at_us) or (
            self._held is not None and self._reaches(self._held, self._held_us, value, at_us)
        )
        self._before = self._value, self._at_us
        if self._is_believed:
            self._value, self._at_us, self._held = value, at_us, None
        else:
            self._held, self._held_us = value, at_us
        return self._is_believed

    def withdraw(self) -> None:
        """The last value is suspect for another reason: it may yet be confirmed, but is no level to go on from."""
        if self._held is None:
            self._held, self._held_us = self._value, self._at_us
            self._value, self._at_us = self._before

    def _reaches(self, level: float | None, level_us: UtcUs, value: float, at_us: UtcUs) -> bool:
        if level is None:
            return True
        elapsed_s = max((at_us - level_us) / US_PER_S, _RATE_S_MIN)
        return abs(value - level) <= self._rate_per_s * elapsed_s


class _Counting:
    """A series that counts."""

    __slots__ = ("counter", "measurand", "place", "quality")

    def __init__(self, place: int, measurand: Measurand, counter: Counter) -> None:
        self.place, self.measurand, self.counter = place, measurand, counter
        self.quality = _GOOD
