"""Finds the model of a SunSpec device that has our registers, by walking the chain of its models. Pure.

SunSpec Device Information Model Specification V1.2: at one of a few base addresses stands the marker "SunS";
behind it one model after another, each with its id and its length first; the id 0xFFFF ends the chain. Makers
put other models before ours, and their common model is 65 or 66 long, so no address can be relied on.
"""

from collections.abc import Sequence
from enum import StrEnum

from firmware_bridge.map_file import SunSpecChain
from firmware_bridge.read_limits import ADDRESSES
from firmware_bridge.state_table import draw_table

# "SunS"
MARKER = (0x5375, 0x6E53)
END_ID = 0xFFFF
# Marker and head of a model (id, length) are read two registers at a time: what lies behind is not known.
HEAD_REGISTERS = 2
# Heads read behind one marker: more models than a device is likely to have, where nonsense could be thousands.
MODELS_MAX = 64

# The common model is the first of every chain and says what the device is: text -> offset from the register
# of its id, length in registers.
COMMON_ID = 1
COMMON_TEXTS = {
    "manufacturer": (2, 16),
    "model": (18, 16),
    "version": (42, 8),
    "serial_number": (50, 16),
}
_COMMON_END = max(offset + count for offset, count in COMMON_TEXTS.values())


class State(StrEnum):
    """What is read next."""

    AT_BASE = "at a base address"
    IN_CHAIN = "in the chain"
    FOUND = "found"
    LOST = "not found"


class Event(StrEnum):
    """What a reply says."""

    MARKER = "marker"
    OTHER_MODEL = "another model"
    OUR_MODEL = "our model"
    DEAD_END = "nothing more here"  # an exception, nonsense, or the end of the chain
    LAST_DEAD_END = "nothing more at all"  # the same at the last base address


class Action(StrEnum):
    """What to do about it."""

    NONE = "nothing"
    ENTER = "go to the first model"
    PASS = "go to the next model"  # noqa: S105  (a model is passed, no password)
    KEEP = "keep where it lies"
    MOVE = "try the next base address"


TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    (State.AT_BASE, Event.MARKER): (State.IN_CHAIN, Action.ENTER),
    (State.AT_BASE, Event.OTHER_MODEL): (State.AT_BASE, Action.NONE),
    (State.AT_BASE, Event.OUR_MODEL): (State.AT_BASE, Action.NONE),
    (State.AT_BASE, Event.DEAD_END): (State.AT_BASE, Action.MOVE),
    (State.AT_BASE, Event.LAST_DEAD_END): (State.LOST, Action.NONE),
    (State.IN_CHAIN, Event.MARKER): (State.IN_CHAIN, Action.NONE),
    (State.IN_CHAIN, Event.OTHER_MODEL): (State.IN_CHAIN, Action.PASS),
    (State.IN_CHAIN, Event.OUR_MODEL): (State.FOUND, Action.KEEP),
    (State.IN_CHAIN, Event.DEAD_END): (State.AT_BASE, Action.MOVE),
    (State.IN_CHAIN, Event.LAST_DEAD_END): (State.LOST, Action.NONE),
    **{(state, event): (state, Action.NONE) for state in (State.FOUND, State.LOST) for event in Event},
}


def draw() -> str:
    """The table as a Mermaid state diagram."""
    return draw_table(TABLE, State.AT_BASE, Action.NONE)


class Walk:
    """One walk through a device: read what `next` says with function 3, tell what came, until it `is_over`.

    It ends within `1 + MODELS_MAX` reads for each base address, whatever comes.
    """

    def __init__(self, chain: SunSpecChain, registers: int = HEAD_REGISTERS) -> None:
        """`registers` is how many our model must have, with its head: a shorter one is not ours."""
        self.chain = chain
        self.state = State.AT_BASE
        # where the id register of our model lies, which model it is, and how long it is with its head
        self.base: int | None = None
        self.model: int | None = None
        self.registers: int | None = None
        # where the id register of the common model lies, when that is long enough for COMMON_TEXTS
        self.common: int | None = None
        self._registers_min = registers
        self._bases = [base for base in chain.bases if base + 2 * HEAD_REGISTERS <= ADDRESSES]
        self._address, self._heads, self._begin = 0, 0, 0
        # to the first base address, if there is one
        self._on(self._dead_end())

    @property
    def next(self) -> tuple[int, int] | None:
        """First address and count of the registers to read now; None when the walk is over."""
        return None if self.is_over else (self._address, HEAD_REGISTERS)

    @property
    def is_over(self) -> bool:
        """Whether our model was found, or is not there."""
        return self.state in (State.FOUND, State.LOST)

    @property
    def shift(self) -> int:
        """How far from the first base address of the profile the chain begins in which our model was found."""
        return self._begin - self.chain.bases[0]

    def take(self, words: Sequence[int]) -> None:
        """These registers came for `next`."""
        if len(words) == HEAD_REGISTERS:
            self._on(self._event(*words), *words)
        else:
            self.refuse()

    def refuse(self) -> None:
        """The device answered `next` with an exception."""
        self._on(self._dead_end())

    def _event(self, first: int, second: int) -> Event:
        if self.state is State.AT_BASE:
            return Event.MARKER if (first, second) == MARKER else self._dead_end()
        end = self._address + HEAD_REGISTERS + second
        if end > ADDRESSES or first in (0, END_ID):
            return self._dead_end()
        if first in self.chain.models and end - self._address >= self._registers_min:
            return Event.OUR_MODEL
        is_last = end + HEAD_REGISTERS > ADDRESSES or self._heads == MODELS_MAX
        return self._dead_end() if is_last else Event.OTHER_MODEL

    def _dead_end(self) -> Event:
        return Event.DEAD_END if self._bases else Event.LAST_DEAD_END

    def _on(self, event: Event, model: int = 0, length: int = 0) -> None:
        self.state, action = TABLE[self.state, event]
        match action:
            case Action.MOVE:
                self._address = self._begin = self._bases.pop(0)
            case Action.ENTER:
                self._address += HEAD_REGISTERS
                self._heads, self.common = 1, None
            case Action.PASS:
                self._note_common(model, length)
                self._address += HEAD_REGISTERS + length
                self._heads += 1
            case Action.KEEP:
                self._note_common(model, length)
                self.base, self.model, self.registers = self._address, model, HEAD_REGISTERS + length
            case Action.NONE:
                pass

    def _note_common(self, model: int, length: int) -> None:
        if model == COMMON_ID and HEAD_REGISTERS + length >= _COMMON_END:
            self.common = self._address
