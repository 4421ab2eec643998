"""Whose turn it is on one line: fairness, deadlines, breakers, rests, late replies. Pure; takes `now`.

A sweep asks each device once. The silent come last and wait only as long as they use to take; who was
silent too often rests. So a dead device costs the others next to nothing. `next` says what to do,
the shell does it and tells `took` or `failed`; simulated time tests hours of it in milliseconds.
"""

from collections import deque
from collections.abc import Collection, Sequence
from math import floor

import msgspec

from firmware_bridge.agenda import Agenda
from firmware_bridge.answer_time import AnswerTime
from firmware_bridge.breaker import Breaker, State
from firmware_bridge.errors import BusError, ExceptionReplyError, LineError, NoReplyError
from firmware_bridge.late_reply import Guard
from firmware_bridge.meter import Meter
from firmware_bridge.poll_plan import Block, WireCost
from firmware_bridge.profile import Register
from firmware_bridge.reading import MonotonicS, UtcUs
from firmware_bridge.registers import BlockDecoder

# One lost reply is no reason to stop asking; three sweeps in a row are.
SILENCES_MAX = 3
# Real seconds of rest of a silent device, doubling from the first to the last: whoever plugs a meter in
# again sees it read within half a minute, and a dead one costs the others 2 % of their time at most.
REST_FIRST_S = 1.0
REST_LAST_S = 20.0
# On a line with more to read than a sweep has time for, the silent ones are asked last no longer than this many
# sweeps: then they have their turn like everybody.
PASSED_OVER_MAX = 3
# A line that cannot be opened is tried at once in the next sweep, then less and less often.
LINE_REST_FIRST_S = 0.5
LINE_REST_LAST_S = 10.0
# Modbus Application Protocol 7: illegal function, address and value mean the block, not the moment.
_BLOCK_REFUSALS = {1, 2, 3}


class Station:
    """A meter as a device on a line: what is still to be asked of it, and how long it takes to answer."""

    def __init__(self, meter: Meter, cost: WireCost, timeout_s: float, phase: float) -> None:
        self.meter, self.unit = meter, meter.config.unit
        self.agenda = Agenda(meter.profile, cost, phase)
        self.answer_time = AnswerTime(timeout_s)
        self.breaker = Breaker(silences_max=SILENCES_MAX, rest_first_s=REST_FIRST_S, rest_last_s=REST_LAST_S)
        self.pause_s = meter.profile.file.pause_s
        self.ready_at_s = MonotonicS(0.0)
        # the last sweep in which it was asked; in which it had the turn that it was due
        self.asked_in_sweep = self.served_in_sweep = 0
        self.passed_over = 0
        self.is_cut_short = False
        self.is_retried = False
        self._decoders: dict[tuple[int, int, int], tuple[Sequence[Register], BlockDecoder]] = {}

    def end_turn(self, sweep: int) -> None:
        """The sweep of that number is over, and it was this station's turn, or would have been."""
        if self.asked_in_sweep == sweep:
            self.passed_over = 0
            if not self.is_cut_short:
                self.served_in_sweep = sweep
        else:
            self.passed_over += 1
        self.is_cut_short = False

    @property
    def rank(self) -> tuple[int, int]:
        """Whose turn comes before that of others: the silent ones last, else who waits for longest."""
        return (self.breaker.silences if self.passed_over < PASSED_OVER_MAX else 0, self.served_in_sweep)

    def decoder(self, block: Block) -> BlockDecoder:
        """Made once for each block; a part of another block may have the same place, and fewer registers."""
        key = (block.function, block.address, block.count)
        registers, decoder = self._decoders.get(key, ((), None))
        if decoder is None or registers != block.registers:
            decoder = BlockDecoder(block.registers, block.address, block.count)
            self._decoders[key] = block.registers, decoder
        return decoder


class Ask(msgspec.Struct, frozen=True):
    """Ask this station for this block, and wait `timeout_s` real seconds for the answer."""

    station: Station
    block: Block
    timeout_s: float


class Wait(msgspec.Struct, frozen=True):
    """Nobody may be asked before `until_s`."""

    until_s: MonotonicS


class Bus:
    """The turns on one line."""

    def __init__(self, stations: Sequence[Station], cost: WireCost, *, has_late_replies: bool) -> None:
        """`has_late_replies` on a line whose frames do not tell which request they answer: RTU."""
        self._stations, self._cost = list(stations), cost
        self._guard = Guard() if has_late_replies else None
        self._breaker = Breaker(silences_max=1, rest_first_s=LINE_REST_FIRST_S, rest_last_s=LINE_REST_LAST_S)
        self._line_error = LineError("not tried yet")
        self._is_doubted = False  # the last request met a broken line
        self._has_worked = False  # in this sweep
        # Who was silent first since anybody answered; and who after him, in this sweep.
        self._suspect: Station | None = None
        self._victims: list[Station] = []
        self._sweep = 0
        self._until_s = MonotonicS(0.0)
        self._waiting: list[Station] = []
        self._turns: deque[Station] = deque()
        self._first: Station | None = None  # who was asked first in this sweep
        self._last_tries: deque[Station] = deque()

    def begin_sweep(self, tick_us: UtcUs, now_s: MonotonicS, until_s: MonotonicS) -> None:
        """A sweep begins, which ends at `until_s` at the latest."""
        for station in self._waiting:
            station.end_turn(self._sweep)
        self._sweep += 1
        self._first = None
        self._until_s, self._is_doubted, self._has_worked = until_s, False, False
        for station in self._stations:
            if station.breaker.silences >= SILENCES_MAX:
                station.agenda.doubt()
            station.agenda.begin(tick_us)
            station.is_retried = False
            station.meter.begin_sweep(
                register.measurand
                for block in station.agenda.due
                if not block.period_s
                for register in block.registers
            )
        self._waiting = [station for station in self._stations if not station.breaker.is_resting(now_s)]
        self._turns = deque(sorted(self._waiting, key=lambda one: one.rank))
        self._last_tries = deque()
        self._victims = []
        if self._breaker.is_resting(now_s):
            self._fail_line(self._line_error)

    @property
    def has_turns(self) -> bool:
        """Whether anybody is still to be asked in this sweep."""
        return bool(self._turns)

    def not_open(self, error: LineError, now_s: MonotonicS) -> None:
        """There is no connection: nobody can be asked in this sweep, and the line rests."""
        self._breaker.was_silent(now_s)
        self._line_error = error
        self._fail_line(error)

    def next(self, now_s: MonotonicS) -> Ask | Wait | None:
        """What to do now; None when the sweep is over."""
        ready_at_s = MonotonicS(float("inf"))
        for turns in (self._turns, self._last_tries):
            for station in list(turns):
                if (block := self._wanted(station, now_s)) is None:
                    turns.remove(station)
                elif station.ready_at_s > now_s:
                    ready_at_s = min(ready_at_s, station.ready_at_s)
                elif (ask := self._ask(station, block, now_s)) is None:
                    turns.remove(station)
                else:
                    return ask
        return Wait(ready_at_s) if ready_at_s < self._until_s else None

    def took(self, ask: Ask, words: list[int], now_s: MonotonicS, at_us: UtcUs, took_s: float) -> None:
        """The answer came after `took_s`, at `at_us`."""
        station = ask.station
        self._line_works(now_s)
        station.answer_time.learn(took_s - self._wire_s(ask.block))
        self._is_back(station, now_s)
        station.agenda.took(words)
        station.meter.serial_number = station.agenda.serial_number
        registers = ask.block.registers
        values = station.decoder(ask.block).decode(words) if registers else []
        station.meter.take((register.measurand for register in registers), values, at_us)

    def failed(self, ask: Ask, error: BusError, now_s: MonotonicS) -> None:
        """The answer did not come, or is none."""
        station = ask.station
        station.ready_at_s = MonotonicS(now_s + station.pause_s)
        if isinstance(error, LineError):
            self._on_line_error(station, error, now_s)
            return
        self._line_works(now_s)
        # An exception tells its request even less than an answer does: beside a lost one it proves nothing.
        is_late = bool(self._avoided(station, ask.block, now_s))
        if self._guard is not None and not isinstance(error, ExceptionReplyError):
            self._guard.lost(station.unit, ask.block.function, ask.block.count, now_s)
        if isinstance(error, NoReplyError):
            self._on_silence(station, error)
            return
        station.meter.fail(error)
        self._is_back(station, now_s)
        if isinstance(error, ExceptionReplyError) and error.code in _BLOCK_REFUSALS and not is_late:
            station.agenda.refused()
        else:
            station.agenda.failed()

    def broke_off(self, ask: Ask, now_s: MonotonicS) -> None:
        """The wait for the answer was broken off: it may still come."""
        self._blame(ask.station)
        if self._guard is not None:
            self._guard.lost(ask.station.unit, ask.block.function, ask.block.count, now_s)

    def came_late(self, unit: int, function: int, count: int) -> None:
        """A frame came that answered nothing that was asked just then."""
        if self._guard is not None:
            self._guard.came(unit, function, count)

    def end_sweep(self, now_s: MonotonicS) -> None:
        """Whoever was asked and gave no sign of life was silent; a line that is gone says nothing of its devices."""
        if self._breaker.state is not State.CLOSED and not self._has_worked:
            return
        for station in self._stations:
            is_silent = station.asked_in_sweep == self._sweep and not station.meter.has_spoken
            if is_silent and station not in self._victims:
                station.breaker.was_silent(now_s)

    def _wanted(self, station: Station, now_s: MonotonicS) -> Block | None:
        """Its next block, in a form whose answer cannot be taken for a late one, nor a late one for it."""
        while (block := station.agenda.next()) is not None:
            avoided = self._avoided(station, block, now_s)
            if block.count not in avoided:
                return block
            if not station.agenda.avoid(avoided):
                station.agenda.failed()
        return None

    def _avoided(self, station: Station, block: Block, now_s: MonotonicS) -> Collection[int]:
        return () if self._guard is None else self._guard.avoided(station.unit, block.function, now_s)

    def _ask(self, station: Station, block: Block, now_s: MonotonicS) -> Ask | None:
        """None when it could not be back in time."""
        wire_s, left_s = self._wire_s(block), self._until_s - now_s
        if left_s <= wire_s + (station.answer_time.mean_s or 0.0):
            # Whoever began late goes on first in the next sweep; who cannot be read in a whole one waits its turn.
            station.is_cut_short = station is not self._first
            return None
        self._first = self._first or station
        silences = station.breaker.silences + station.is_retried
        station.asked_in_sweep = self._sweep
        station.meter.ask(register.measurand for register in block.registers)
        station.ready_at_s = MonotonicS(now_s + station.pause_s)
        timeout_s = min(station.answer_time.deadline_s(silences) + wire_s, left_s)
        return Ask(station, block, floor(timeout_s * 1000) / 1000)

    def _on_silence(self, station: Station, error: BusError) -> None:
        """A device that uses to answer gets a second chance after all others had their turn."""
        self._blame(station)
        if station in self._turns and station.breaker.silences == 0 and station.answer_time.mean_s is not None:
            station.meter.stumble(error)
            station.is_retried = True
            self._turns.remove(station)
            self._last_tries.append(station)
            return
        station.meter.fail(error)
        (self._turns if station in self._turns else self._last_tries).remove(station)

    def _blame(self, station: Station) -> None:
        """A gateway that waits for a dead device answers for no other: whoever is silent after him may be well."""
        if self._suspect is None:
            self._suspect = station
        elif self._suspect is not station:
            self._victims.append(station)

    def _is_back(self, station: Station, now_s: MonotonicS) -> None:
        self._suspect = None
        if station.breaker.silences or station.meter.is_silent:
            station.agenda.greet()
        station.breaker.answered(now_s)

    def _on_line_error(self, station: Station, error: LineError, now_s: MonotonicS) -> None:
        """A gateway may hang up on us for one dead device: the line has failed when the next one meets it too.

        Those who met it before prove nothing against a line that has worked in this sweep, nor does the last in turn.
        """
        station.meter.fail(error)
        (self._turns if station in self._turns else self._last_tries).remove(station)
        if self._has_worked and station.breaker.silences:
            return
        if self._is_doubted or not (self._turns or self._has_worked):
            self.not_open(error, now_s)
        self._is_doubted = True

    def _fail_line(self, error: LineError) -> None:
        for station in self._turns:
            station.meter.fail(error)
        self._turns.clear()
        self._last_tries.clear()

    def _line_works(self, now_s: MonotonicS) -> None:
        self._is_doubted, self._has_worked = False, True
        self._breaker.answered(now_s)

    def _wire_s(self, block: Block) -> float:
        return self._cost.request_s + block.count * self._cost.register_s
