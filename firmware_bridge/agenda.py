"""What to read of one device in each sweep: its blocks, the slow ones in their time. Pure.

A block that the device refuses is asked in halves, until it is known which registers this firmware does
not have; a SunSpec device is first walked through for its model. The serial number is read at the
first contact and after each silence, because that is when somebody may have swapped the meter.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from firmware_bridge.identity import SERIAL_NUMBER, question, recognise
from firmware_bridge.late_reply import parts
from firmware_bridge.poll_plan import Block, WireCost, plan, split
from firmware_bridge.profile import Profile, Register, placed
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.sunspec import Walk

# A refusal may be an accident; two in a row are the device's opinion.
REFUSALS_MAX = 2
# A device that boots refuses what it answers a minute later; a register that this firmware does not have may
# come with the next one. What is refused rests, twice as long each time.
REFUSED_REST_FIRST_S = 60.0
REFUSED_REST_LAST_S = 3600.0
# 2 ** 10 times the shortest rest is beyond the longest.
_DOUBLINGS_MAX = 10
# A device without the model may have answered nonsense, or be exchanged: walked through anew that often.
WALK_PERIOD_S = 60.0
# A serial number changes with the device, which is told by a silence; once an hour in case it is not.
SERIAL_PERIOD_S = 3600.0


_Span = tuple[int, int, Register]


class _Entry:
    """One block and when it is due."""

    def __init__(self, block: Block, period_s: float, phase: float) -> None:
        """`phase` (0 to 1) shifts the second read, so that the slow blocks of a line do not all meet."""
        self.block, self.period_s = block, period_s
        self.refusals = 0
        # nothing of it was left out in this sweep, as far as it was asked
        self.is_whole = True
        # first address, the one behind the last, and the register, in order
        self.spans = sorted(((one.start, one.end, one) for one in block.registers), key=lambda span: span[:2])
        self._phase = phase
        self._period_us = self._wait_us = round(period_s * US_PER_S)
        self._due_us: UtcUs | None = None
        self._rests = 0

    @property
    def rank(self) -> tuple[bool, int]:
        """Which comes before others: those never read, then who waits for longest."""
        return self._due_us is not None, self._due_us or 0

    def is_due(self, tick_us: UtcUs) -> bool:
        """Also when the clock was set back by more than it has to wait: when it was due is not known then."""
        if self._due_us is not None and self._due_us - tick_us > 2 * self._wait_us:
            self._due_us = None
        return self._due_us is None or tick_us >= self._due_us

    @property
    def was_refused(self) -> bool:
        """Whether it rested the last time, because the device does not have it."""
        return self._rests > 0

    def done(self, tick_us: UtcUs) -> None:
        shift_us = round(self._phase * self._period_us) if self._due_us is None else 0
        self.refusals = self._rests = 0
        self._wait_us = self._period_us
        self._due_us = UtcUs(tick_us + self._period_us + shift_us)

    def park(self, tick_us: UtcUs) -> None:
        rest_s = min(REFUSED_REST_FIRST_S * 2.0**self._rests, REFUSED_REST_LAST_S)
        self.refusals, self._rests = 0, min(self._rests + 1, _DOUBLINGS_MAX)
        self._wait_us = round(rest_s * US_PER_S)
        self._due_us = UtcUs(tick_us + self._wait_us)

    def hurry(self) -> None:
        self._due_us = None


class Agenda:
    """The reads of one device, sweep by sweep."""

    def __init__(self, profile: Profile, cost: WireCost, phase: float = 0.0) -> None:
        """Plan the reads for a wire of this cost; `phase` is the device's place among those of its line, 0 to 1."""
        self._profile, self._cost, self._phase = profile, cost, phase
        # as the device tells it; None before it did
        self.serial_number: str | None = None
        self._walk = _walk_of(profile)
        self._serial: _Entry | None = None
        self._entries: list[_Entry] = []
        # as planned, before the device refused any
        self._planned: list[Block] = []
        self._is_plan_restored = False
        self._tick_us = UtcUs(0)
        # blocks of this sweep that were not asked yet, each with the entry it is a part of
        self._open: deque[tuple[Block, _Entry]] = deque()
        self._tried_us: UtcUs | None = None
        # a step of the walk failed in this sweep: the next one may take it
        self._is_walk_halted = False
        if self._walk is None:
            self._plan(profile, shift=0)

    @property
    def blocks(self) -> list[Block]:
        """All blocks with measured registers, as they are asked now; none before a SunSpec model is found."""
        return [entry.block for entry in self._entries]

    @property
    def due(self) -> Iterable[Block]:
        """What is still to be asked in this sweep."""
        return (block for block, _ in self._open)

    def begin(self, tick_us: UtcUs) -> None:
        """A sweep begins: put what is due on the list."""
        self._tick_us = tick_us
        self._is_walk_halted = False
        if self._is_plan_restored:
            self._set_entries()
        entries = self._entries if self._serial is None else [*self._entries, self._serial]
        due = sorted((entry for entry in entries if entry.is_due(tick_us)), key=lambda entry: entry.rank)
        self._open = deque((entry.block, entry) for entry in due)
        for entry in due:
            entry.is_whole = True
        if self._walk is not None and self._walk.is_over and self._is_walk_due(tick_us):
            self._walk = _walk_of(self._profile)

    def next(self) -> Block | None:
        """The next block to ask in this sweep; None when there is no more."""
        if self._walk is not None:
            place = None if self._is_walk_halted else self._walk.next
            return None if place is None else Block(3, *place, (), 0.0)
        return self._open[0][0] if self._open else None

    def took(self, words: list[int]) -> None:
        """What `next` gave came."""
        if self._walk is not None:
            self._walk.take(words)
            self._end_walk()
            return
        _, entry = self._open.popleft()
        if entry is self._serial:
            self.serial_number = recognise(self._profile, {SERIAL_NUMBER: words}).serial_number
        elif entry.was_refused:
            self._is_plan_restored = True
        if entry.is_whole and all(other is not entry for _, other in self._open):
            entry.done(self._tick_us)

    def refused(self) -> None:
        """The device refuses what `next` gave, because of its address or its length."""
        if self._walk is not None:
            self._walk.refuse()
            self._end_walk()
            return
        _, entry = self._open.popleft()
        entry.is_whole = False
        entry.refusals += 1
        if entry.refusals < REFUSALS_MAX:
            return
        halves = split(entry.block)
        if halves is None or entry is self._serial:
            entry.park(self._tick_us)
            return
        # what was cut off it to avoid a late answer is asked with the halves
        self._open = deque(part for part in self._open if part[1] is not entry)
        at = self._entries.index(entry)
        self._entries[at : at + 1] = [_Entry(half, entry.period_s, self._phase) for half in halves]

    def failed(self) -> None:
        """What `next` gave did not come, for another reason: it is not asked again in this sweep."""
        if self._walk is None:
            _, entry = self._open.popleft()
            entry.is_whole = False
        else:
            self._is_walk_halted = True

    def avoid(self, counts: Collection[int]) -> bool:
        """Ask `next` in parts, none of them of one of these counts of registers; False when that cannot be."""
        if self._walk is not None or not self._open:
            return False
        block, entry = self._open[0]
        pieces = parts(block.address, block.count, _cuts(block, entry.spans), counts)
        if not pieces:
            return False
        self._open.popleft()
        entry.is_whole &= sum(count for _, count in pieces) == block.count
        self._open.extendleft((_piece(block, entry.spans, *piece), entry) for piece in reversed(pieces))
        return True

    def doubt(self) -> None:
        """The device was silent for so long that it may be another one: a SunSpec model is looked for anew."""
        if self._walk is None:
            self._walk = _walk_of(self._profile)

    def greet(self) -> None:
        """The device is back from a silence: it may be another one, and what it said before no longer stands."""
        for entry in self._entries if self._serial is None else [*self._entries, self._serial]:
            entry.hurry()

    def _plan(self, profile: Profile, shift: int) -> None:
        """`shift` is how far from its first base a SunSpec chain begins."""
        self._planned = plan(profile, self._cost)
        self._set_entries()
        places = [question(one, shift) for one in profile.file.identify if one.name == SERIAL_NUMBER and not one.unit]
        self._serial = None
        if places and places[0] is not None:
            self._serial = _Entry(Block(*places[0], ()), SERIAL_PERIOD_S, self._phase)

    def _set_entries(self) -> None:
        """Everything as planned: nothing has been refused, or what was is answered now."""
        self._is_plan_restored = False
        # A device that wants to be left alone between requests gets them in turn, one a sweep or fewer.
        round_s = self._profile.file.pause_s * len(self._planned)
        self._entries = [_Entry(block, max(block.period_s, round_s), self._phase) for block in self._planned]

    def _end_walk(self) -> None:
        assert self._walk is not None
        if not self._walk.is_over:
            return
        self._tried_us = self._tick_us
        if self._walk.base is not None:
            self._plan(placed(self._profile, self._walk.base), self._walk.shift)
            self._walk = None
            self.begin(self._tick_us)

    def _is_walk_due(self, tick_us: UtcUs) -> bool:
        """A device without the model may be another one tomorrow, or may have answered nonsense."""
        return self._tried_us is None or abs(tick_us - self._tried_us) >= WALK_PERIOD_S * US_PER_S


def _cuts(block: Block, spans: Sequence[_Span]) -> list[int]:
    """Addresses at which the block can be cut without tearing a value, or leaving an even device's grid."""
    cuts, reached = [], block.address
    for start, end, _ in spans:
        if start >= reached and not (block.even and (start - block.address) % 2):
            cuts.append(start)
        reached = max(reached, end)
    return cuts


def _piece(block: Block, spans: Sequence[_Span], address: int, count: int) -> Block:
    """The registers that lie whole within this part of the block."""
    inside = tuple(one for start, end, one in spans if address <= start and end <= address + count)
    return Block(block.function, address, count, inside, block.period_s, block.even)


def _walk_of(profile: Profile) -> Walk | None:
    """Registers are offsets from the id register of the model: it must reach to the last of them."""
    chain = profile.file.sunspec
    return None if chain is None else Walk(chain, registers=max(register.end for register in profile.registers))
