"""A counter of energy, gas or pulses: what was really counted between two reads. Pure.

A counter only rises, and no faster than the main breaker allows. A value that contradicts this is held
back and nothing is booked; the next reads decide. When the counter goes on from where it was, the value
was a glitch. When a second value *rises* from the held one, the new level is believed and explained:
rolled over, reset, replaced by another meter, set back, or jumped. A value that merely stays is no proof:
an inverter that boots shows the same false zero for a minute.
"""

from math import isfinite

import msgspec

from firmware_bridge.counter_event import CounterEvent, CounterEventKind, explain
from firmware_bridge.counter_rules import CounterRules
from firmware_bridge.reading import US_PER_S, Quality, UtcUs


class Level(msgspec.Struct, frozen=True, gc=False):
    """Where the register stood: read first at `since_us` and last at `at_us`."""

    value: float
    since_us: UtcUs
    at_us: UtcUs
    # serial number of the meter, as far as it was known
    identity: str | None


class CounterState(msgspec.Struct, frozen=True):
    """All that a counter remembers, to be kept over a restart."""

    # the last value that was believed
    base: Level | None = None
    # the value that contradicts it, until the contradiction is settled
    held: Level | None = None
    # when the contradiction began
    held_since_us: UtcUs | None = None
    identity: str | None = None
    # between the last two reads
    interval_us: int = 0


class Judgement(msgspec.Struct, frozen=True):
    """What one read means. `advance` is what to book for it, in the unit of the series, never negative.

    `event` tells of a contradiction that this read settled.
    """

    quality: Quality
    advance: float = 0.0
    event: CounterEvent | None = None


_MISSING = Judgement(Quality.MISSING)
_SUSPECT = Judgement(Quality.SUSPECT)
_NOTHING_NEW = Judgement(Quality.GOOD)


class Counter:
    """One counting series; `judge` takes its reads in order."""

    def __init__(self, rules: CounterRules, state: CounterState | None = None) -> None:
        self._rules = rules
        state = state or CounterState()
        self._base, self._held, self._held_since_us = state.base, state.held, state.held_since_us
        self._identity, self._interval_us = state.identity, state.interval_us

    @property
    def state(self) -> CounterState:
        """What to give to the next Counter of this series."""
        return CounterState(self._base, self._held, self._held_since_us, self._identity, self._interval_us)

    def judge(self, value: float | None, at_us: UtcUs, identity: str | None = None) -> Judgement:
        """What the read of `value` means; None is a sentinel or no answer.

        `identity` is the serial number of the meter that answered; None while it is unknown.
        """
        if value is None or not isfinite(value):
            return _MISSING
        if identity is not None:
            self._identity = identity
        base = self._base
        if base is None:
            self._believe(Level(value, at_us, at_us, identity))
            return _NOTHING_NEW
        elapsed_us = at_us - (self._held or base).at_us
        if elapsed_us < 0:
            base = self._follow_clock(base, at_us)
        else:
            self._interval_us = elapsed_us
        if self._continues(base, value, at_us):
            return self._go_on(base, value, at_us)
        return self._doubt(base, value, at_us)

    def _continues(self, base: Level, value: float, at_us: UtcUs) -> bool:
        """Whether the counter goes on from `base`, and not from what is held."""
        rules, held, rise = self._rules, self._held, value - base.value
        reach = rules.rate_max_per_s * (at_us - base.at_us) / US_PER_S + rules.resolution_at(base.value)
        if not -rules.rounding_at(base.value) <= rise <= reach:
            return False
        if self._is_another_meter(base):
            return False
        # With time, any height comes within reach: a value that stayed with the held one belongs to it.
        return held is None or held.identity != self._identity or not base.value < held.value <= value

    def _go_on(self, base: Level, value: float, at_us: UtcUs) -> Judgement:
        held, since_us = self._held, self._held_since_us
        advance = value - base.value
        if advance > 0:
            self._believe(Level(value, at_us, at_us, self._identity))
        else:  # it stands still, or was rounded down
            advance = 0.0
            self._believe(Level(base.value, base.since_us, at_us, self._identity))
        if held is None or since_us is None:
            return Judgement(Quality.GOOD, advance) if advance else _NOTHING_NEW
        return self._settled(CounterEventKind.GLITCH, base, held, advance, since_us)

    def _doubt(self, base: Level, value: float, at_us: UtcUs) -> Judgement:
        held = self._held
        if held is None or held.identity != self._identity:
            return self._hold(value, at_us)
        if not 0 <= value - held.value <= self._room(held, at_us):
            return self._hold(value, at_us)
        if self._is_another_meter(base):
            return self._conclude(base, held, value, at_us)
        if 0 < held.value - base.value <= self._room(base, held.since_us):
            # No contradiction: the register stood still for a while, and then caught up.
            advance = min(value - base.value, self._room(base, at_us))
            self._believe(Level(value, at_us, at_us, self._identity))
            return Judgement(Quality.GOOD, advance)
        if value > held.value:
            return self._conclude(base, held, value, at_us)
        self._held = msgspec.structs.replace(held, at_us=at_us)
        return _SUSPECT

    def _hold(self, value: float, at_us: UtcUs) -> Judgement:
        self._held = Level(value, at_us, at_us, self._identity)
        if self._held_since_us is None:
            self._held_since_us = at_us
        return _SUSPECT

    def _conclude(self, base: Level, held: Level, value: float, at_us: UtcUs) -> Judgement:
        """The held level is confirmed: explain it, and count on from there."""
        room = self._room(base, held.since_us)
        kind, advance, limit = CounterEventKind.WENT_BACK, value - held.value, None
        if self._is_another_meter(base):
            kind = CounterEventKind.SWAPPED
        elif held.value > base.value:
            kind = CounterEventKind.JUMPED
        elif (limit := self._limit_between(base, held, room)) is not None:
            kind, advance = CounterEventKind.ROLLED_OVER, limit - base.value + value
        elif held.value <= room:
            kind, advance = CounterEventKind.RESET, value
        since_us = held.since_us if self._held_since_us is None else self._held_since_us
        advance = min(max(advance, 0.0), self._room(base, at_us))
        self._believe(Level(value, at_us, at_us, self._identity))
        return self._settled(kind, base, held, advance, since_us, limit)

    def _settled(
        self,
        kind: CounterEventKind,
        base: Level,
        held: Level,
        advance: float,
        since_us: UtcUs,
        limit: float | None = None,
    ) -> Judgement:
        """The present base has settled the contradiction between the former one and what was held."""
        assert self._base is not None
        event = CounterEvent(
            kind=kind,
            since_us=since_us,
            at_us=self._base.at_us,
            before=base.value,
            shown=held.value,
            after=self._base.value,
            booked=advance,
            limit=limit,
            identity_before=base.identity,
            identity_after=self._identity,
        )
        sentence = explain(event, self._rules.subject, self._rules.unit)
        return Judgement(Quality.GOOD, advance, msgspec.structs.replace(event, sentence=sentence))

    def _believe(self, level: Level) -> None:
        self._base, self._held, self._held_since_us = level, None, None

    def _room(self, level: Level, at_us: UtcUs) -> float:
        """The most that can have been counted until `at_us` since the register stood at `level`."""
        standing_s = min((level.at_us - level.since_us) / US_PER_S, self._rules.refresh_s)
        # a state that was damaged on disk may say that the register will stand there
        elapsed_s = max(at_us - level.at_us, 0) / US_PER_S + max(standing_s, 0.0)
        return self._rules.rate_max_per_s * elapsed_s + self._rules.resolution_at(level.value)

    def _limit_between(self, base: Level, held: Level, room: float) -> float | None:
        """The nearest end of the counter that the rated power lets it pass on its way to the held value."""
        resolution = self._rules.resolution_at(base.value)
        fitting = (
            limit
            for limit in self._rules.limits()
            if limit >= base.value - resolution and held.value >= 0 and limit - base.value + held.value <= room
        )
        return min(fitting, default=None)

    def _is_another_meter(self, base: Level) -> bool:
        return base.identity is not None and base.identity != self._identity

    def _follow_clock(self, base: Level, at_us: UtcUs) -> Level:
        """The clock was set back: as far as it can be known, the last read was one interval ago."""
        last_us = (self._held or base).at_us
        back_us = last_us - (at_us - self._interval_us)
        self._base = _earlier(base, back_us)
        if self._held is not None:
            self._held = _earlier(self._held, back_us)
        return self._base


def _earlier(level: Level, by_us: int) -> Level:
    return Level(level.value, UtcUs(level.since_us - by_us), UtcUs(level.at_us - by_us), level.identity)
