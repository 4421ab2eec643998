"""Asking one device everything that tells which meter it is. Pure.

All profiles are tried side by side: what one of them has read, the others do not ask again. A profile
whose frequency makes no sense is not followed further.
"""

from collections.abc import Generator, Iterator, Sequence

import msgspec

from firmware_bridge.identity import Recognition, question, recognise
from firmware_bridge.map_file import Identity, WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.poll_plan import WireCost, plan
from firmware_bridge.probe.asks import LACKING_CODES, Ask, Heard, Identify, Read, Refused, Silence, Texts, Wire, Words
from firmware_bridge.probe.plan import PATIENCE, deadline_s
from firmware_bridge.probe.vital_signs import BITS_PER_VALUE_MAX, VitalSigns, vital_registers, vital_signs
from firmware_bridge.profile import Profile, Register, placed
from firmware_bridge.read_limits import aligned
from firmware_bridge.sunspec import Walk

# A lost frame must not be taken for the device's word: what is not heard is asked once more.
TRIES = 2
# Some devices stay silent where others refuse: after so many silences, this one is taken to be such a one.
SILENCES_MAX = 3
# Modbus exception 6, device busy: it will answer later.
_BUSY = 6
# A hole of more than 15 registers may lead out of the device's map: then rather a request more.
_COST = WireCost(request_s=0.030, register_s=0.002)


class Answers:
    """What one line said to reads, by place; a read that was heard also answers every part of it."""

    def __init__(self) -> None:
        self._heard: dict[tuple[int, int, int, int], Heard] = {}

    def put(self, read: Read, heard: Heard) -> None:
        """This was heard."""
        self._heard[read.unit, read.function, read.address, read.count] = heard

    def get(self, unit: int, function: int, address: int, count: int) -> Heard | None:
        """What is known of these registers; None when they were not asked for."""
        exact = self._heard.get((unit, function, address, count))
        if exact is not None:
            return exact
        for (of_unit, of_function, first, length), heard in self._heard.items():
            if not isinstance(heard, Words) or (of_unit, of_function) != (unit, function):
                continue
            if first <= address and address + count <= first + length:
                return Words(heard.words[address - first : address - first + count])
        return None

    @property
    def share_answered(self) -> float:
        """How many of all reads brought registers; never 0 or 1, because the next may differ."""
        answered = sum(isinstance(heard, Words) for heard in self._heard.values())
        return (answered + 1) / (len(self._heard) + 2)

    def words(self, unit: int, function: int, address: int, count: int) -> Sequence[int] | None:
        """The registers; None when they did not come."""
        heard = self.get(unit, function, address, count)
        return heard.words if isinstance(heard, Words) else None

    def is_lacking(self, unit: int, function: int, address: int, count: int) -> bool:
        """Whether the device said that it has no such registers."""
        heard = self.get(unit, function, address, count)
        return isinstance(heard, Refused) and heard.code in LACKING_CODES


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All that one device said."""

    wire: Wire
    unit: int
    # of Read Device Identification; empty where it has none
    texts: dict[int, str]
    answers: Answers
    # profile name -> the profile with its registers where they lie in this device; without the SunSpec
    # profiles whose model it does not have
    profiles: dict[str, Profile]
    # profile name -> how far the addresses of its identity entries are shifted
    shifts: dict[str, int]

    def words_of(self, register: Register) -> Sequence[int] | None:
        """The words of a register."""
        return self.answers.words(self.unit, register.function, register.start, register.end - register.start)

    def recognition(self, profile: Profile) -> Recognition:
        """What its identity registers say of it, if it is one of this profile."""
        words = {}
        for entry in profile.file.identify:
            where = question(entry, self.shifts.get(profile.name, 0))
            if where is None:
                continue
            answer = self.answers.words(self.unit if entry.unit is None else entry.unit, *where)
            if answer is not None:
                words[entry.name] = answer
        return recognise(profile, words, objects=self.texts, unit=self.unit)

    def signs(self, profile: Profile) -> VitalSigns:
        """What the profile's registers say: in its word order, or in the other where only that makes sense."""
        registers = [one for group in vital_registers(profile) for one in group]
        own = profile.file.word_order
        other = WordOrder.LOW_FIRST if own is WordOrder.HIGH_FIRST else WordOrder.HIGH_FIRST
        usual, turned = (vital_signs(registers, self.words_of, order) for order in (own, other))
        is_mains = turned.frequency_hz is not None or turned.volts
        return turned if is_mains and turned.bits >= usual.bits + BITS_PER_VALUE_MAX else usual

    def groups_there(self, profile: Profile) -> int:
        """How many of the groups that were looked at the device has, in part at least."""
        groups = vital_registers(profile)
        return sum(any(self.words_of(one) is not None for one in group) for group in groups)

    def lacks(self, profile: Profile) -> list[Register]:
        """The registers looked at that the device says it does not have."""
        return [
            one
            for group in vital_registers(profile)
            for one in group
            if self.answers.is_lacking(self.unit, one.function, *aligned(profile.file, one.start, one.end))
        ]


def examine(wire: Wire, unit: int, profiles: Sequence[Profile], wait_s: float) -> Generator[Ask, Heard, Examination]:
    """Ask one device what tells the profiles apart; every answer, silence too, ends it a step nearer."""
    questions = _Questions(wire, unit, wait_s * PATIENCE)
    texts = yield from questions.identify()
    there, shifts = yield from _placed(questions, profiles)
    for name, profile in there.items():
        for entry in naming(profile):
            yield from questions.entry(entry, shifts.get(name, 0))
    examination = Examination(
        wire=wire, unit=unit, texts=texts, answers=questions.answers, profiles=there, shifts=shifts
    )
    for name, profile in there.items():
        is_fitting = yield from _look(questions, examination, profile)
        if is_fitting:
            for entry in profile.file.identify:
                yield from questions.entry(entry, shifts.get(name, 0))
    return examination


def naming(profile: Profile) -> Iterator[Identity]:
    """The entries whose value says which model it is, or which it is not."""
    for entry in profile.file.identify:
        if entry.values or entry.ranges or entry.contains or entry.is_unit:
            yield entry


def _placed(
    questions: "_Questions", profiles: Sequence[Profile]
) -> Generator[Ask, Heard, tuple[dict[str, Profile], dict[str, int]]]:
    """The profiles with their registers where they lie, and the shifts of their identities."""
    there, shifts = {}, {}
    for profile in profiles:
        if profile.file.sunspec is None:
            there[profile.name] = profile
            continue
        walk = Walk(profile.file.sunspec, max(register.end for register in profile.registers))
        while (step := walk.next) is not None:
            heard = yield from questions.registers(questions.unit, 3, *step)
            if isinstance(heard, Words):
                walk.take(heard.words)
            else:
                walk.refuse()
        if walk.base is not None:
            there[profile.name] = placed(profile, walk.base)
            shifts[profile.name] = walk.shift
    return there, shifts


def _look(questions: "_Questions", examination: Examination, profile: Profile) -> Generator[Ask, Heard, bool]:
    """Read what the profile says of frequency, voltage, power; whether it may be the one."""
    recognition = examination.recognition(profile)
    if recognition.is_refuted:
        return False
    for group in vital_registers(profile):
        if group:
            yield from questions.group(profile, group)
        signs = examination.signs(profile)
        is_wrong = Measurand.FREQUENCY_HZ in signs.implausible or (examination.lacks(profile) and not signs.plausible)
        if is_wrong and recognition.confidence != "high":
            return False
    return True


class _Questions:
    """Asks one unit, each thing once."""

    def __init__(self, wire: Wire, unit: int, wait_s: float) -> None:
        self.unit, self.answers = unit, Answers()
        self._wire, self._wait_s = wire, wait_s
        self._silences = 0

    def identify(self) -> Generator[Ask, Heard, dict[int, str]]:
        """Read Device Identification."""
        heard = yield from self._ask(Identify(self._wire, self.unit, self._wait_s))
        return heard.texts if isinstance(heard, Texts) else {}

    def entry(self, entry: Identity, shift: int) -> Generator[Ask, Heard, None]:
        """The registers of an identity."""
        where = question(entry, shift)
        if where is not None:
            yield from self.registers(self.unit if entry.unit is None else entry.unit, *where)

    def group(self, profile: Profile, registers: Sequence[Register]) -> Generator[Ask, Heard, None]:
        """These registers of the profile: together, and one by one when that is refused."""
        for block in plan(msgspec.structs.replace(profile, registers=tuple(registers)), _COST):
            heard = yield from self.registers(self.unit, block.function, block.address, block.count)
            if len(block.registers) > 1 and not isinstance(heard, Words):
                for one in block.registers:
                    first, count = aligned(profile.file, one.start, one.end)
                    yield from self.registers(self.unit, one.function, first, count)

    def registers(self, unit: int, function: int, address: int, count: int) -> Generator[Ask, Heard, Heard]:
        """Registers of a unit."""
        known = self.answers.get(unit, function, address, count)
        if known is not None:
            return known
        read = Read(self._wire, unit, function, address, count, deadline_s(self._wire, count, self._wait_s))
        heard = yield from self._ask(read)
        self.answers.put(read, heard)
        return heard

    def _ask(self, ask: Ask) -> Generator[Ask, Heard, Heard]:
        """Ask, once more where nothing was heard that means something."""
        for _ in range(TRIES if self._silences < SILENCES_MAX else 1):
            heard = yield ask
            if isinstance(heard, Words | Texts) or (isinstance(heard, Refused) and heard.code != _BUSY):
                return heard
        self._silences += isinstance(heard, Silence)
        return heard
