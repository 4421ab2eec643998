"""What to try on a line, in which order, and how long it takes. Pure.

Likely settings come first: those that the profiles say devices leave the factory with. Then all
the others, then the unit ids that installers choose more rarely.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from firmware_bridge.map_file import SerialDefaults
from firmware_bridge.probe.asks import Ask, Hail, Listen, Parity, Read, Wire
from firmware_bridge.profile import Profile

# In the order of how often installers meet them.
BAUDS = (9600, 19200, 38400, 115200, 57600, 4800, 2400, 1200)
# Parity and stop bits; "N2" keeps the eleven bits of the standard (Modbus over Serial Line V1.02, 2.5.1).
FRAMINGS: tuple[tuple[Parity, Literal[1, 2]], ...] = (("N", 1), ("E", 1), ("O", 1), ("N", 2))
# Installers count up from 1; a line of 32 devices is full (RS-485, 32 unit loads).
NEAR_UNIT_MAX, FAR_UNIT_MAX, UNIT_MAX = 10, 32, 247

# Two questions that every device answers with something, if only an exception. Holding registers first,
# because all but a few devices have some; two registers from 0, because some accept only even reads.
QUESTIONS = ((3, 0, 2), (4, 0, 2))
# An RTU request for registers, a reply with two of them: characters.
_REQUEST_CHARACTERS, _REPLY_CHARACTERS = 8, 9
# Unit, function, count of bytes and CRC around the registers of a reply.
_REPLY_HEAD_CHARACTERS = 5
# Seconds that a device may take to begin its answer. Meters take 20 to 200 ms, USB adapters hold bytes
# back for 16 more; a gateway behind a network passes an answer on when its own time is up.
WAIT_SERIAL_S, WAIT_TCP_S = 0.25, 1.5
# A device that was found is waited for longer: its silence would be taken for an answer.
PATIENCE = 2.0
# P1 sends every second or every ten, SML every one to four, a sensor as it likes.
LISTEN_S = 4.0


class Options(NamedTuple):
    """What the installer chose."""

    is_serial: bool = True
    # all unit ids up to 247
    all_units: bool = False
    # go on with other settings after devices were found
    thorough: bool = False
    wait_s: float | None = None
    # 0 for not at all
    listen_s: float = LISTEN_S


class Wave(NamedTuple):
    """These units, at these settings, with this question."""

    wires: tuple[Wire, ...]
    units: tuple[int, ...]
    question: tuple[int, int, int]


class Plan(NamedTuple):
    """The whole search, in order."""

    options: Options
    listens: tuple[Listen, ...]
    # units to hail, where it is not known which protocol an address speaks
    hails: tuple[Hail, ...]
    # of a serial line
    waves: tuple[Wave, ...]
    # every unit that is asked at a setting where somebody answered
    units: tuple[int, ...]

    @property
    def wait_s(self) -> float:
        """Seconds a device may take to begin its answer."""
        usual_s = WAIT_SERIAL_S if self.options.is_serial else WAIT_TCP_S
        return self.options.wait_s or usual_s

    def knock(self, wire: Wire, unit: int, question: tuple[int, int, int], wait_s: float | None = None) -> Read:
        """One question to a unit of which nothing is known."""
        return Read(wire, unit, *question, deadline_s(wire, question[2], wait_s or self.wait_s))

    def everyone(self, wire: Wire) -> list[Read]:
        """Each question to each unit, at a setting where somebody answered."""
        return [self.knock(wire, unit, question) for question in QUESTIONS for unit in self.units]

    def knocks(self) -> Iterator[Read]:
        """All knocks of a serial line on which nobody answers."""
        for wave in self.waves:
            for wire in wave.wires:
                for unit in wave.units:
                    yield self.knock(wire, unit, wave.question)

    @property
    def likely_s(self) -> float:
        """The most that it takes to hear whom we expect: likely unit ids, at likely settings."""
        likely = self._replace(waves=self.waves[: len(QUESTIONS)], hails=self.hails[:NEAR_UNIT_MAX])
        return likely.longest_s

    @property
    def longest_s(self) -> float:
        """How long the search takes when nobody answers."""
        return sum(seconds(ask) for asks in (self.listens, self.hails, self.knocks()) for ask in asks)


def plan(profiles: Sequence[Profile], options: Options) -> Plan:
    """The search for any device, of which `profiles` are those we know."""
    near, far, rest = (tuple(tier) for tier in _unit_tiers(profiles, is_serial=options.is_serial))
    tiers = [near, far, rest] if options.all_units else [near, far]
    units = tuple(unit for tier in tiers for unit in tier)
    sending = _sending_wires(profiles) if options.is_serial else (Wire(kind="tcp"),)
    listens = tuple(Listen(wire, options.listen_s) for wire in sending if options.listen_s)
    if not options.is_serial:
        hails = tuple(Hail(unit, options.wait_s or WAIT_TCP_S) for unit in units)
        return Plan(options, listens, hails, (), units)
    likely = likely_wires(profiles)
    others = tuple(wire for wire in all_wires() if wire not in likely)
    waves = [Wave(wires, tier, question) for tier in tiers for wires in (likely, others) for question in QUESTIONS]
    if options.thorough:
        waves += [Wave(likely, near, question) for question in _own_questions(profiles)]
    return Plan(options, listens, (), tuple(waves), units)


def seconds(ask: Ask) -> float:
    """The most that an ask takes."""
    match ask:
        case Listen():
            return ask.duration_s
        case Hail():
            return 2 * ask.timeout_s
    return ask.timeout_s


def deadline_s(wire: Wire, count: int, wait_s: float) -> float:
    """Seconds after which a read of `count` registers has failed: request, turn-around and reply."""
    if wire.kind != "serial":
        return wait_s
    characters = _REQUEST_CHARACTERS + _REPLY_HEAD_CHARACTERS + 2 * count
    return wait_s + characters * wire.bits_per_character / wire.baud


def all_wires() -> tuple[Wire, ...]:
    """Every setting of a serial line that a meter is met with."""
    return tuple(
        Wire(kind="serial", baud=baud, parity=parity, stop_bits=stop_bits)
        for parity, stop_bits in FRAMINGS
        for baud in BAUDS
    )


def likely_wires(profiles: Sequence[Profile]) -> tuple[Wire, ...]:
    """The settings that Modbus devices leave the factory with, those of most devices first."""
    counted: Counter[Wire] = Counter()
    for profile in profiles:
        defaults = profile.file.serial_defaults
        if defaults is None or profile.file.protocol != "modbus":
            continue
        wire = _wire_of(defaults)
        counted[wire] += 2
        for baud in _bauds_in(profile.file.serial_notes) - {wire.baud}:
            counted[msgspec.structs.replace(wire, baud=baud)] += 1
    places = {wire: place for place, wire in enumerate(all_wires())}
    return tuple(sorted(counted, key=lambda wire: (-counted[wire], places.get(wire, len(places)), wire.told)))


def _sending_wires(profiles: Sequence[Profile]) -> tuple[Wire, ...]:
    """The settings of devices that send by themselves."""
    defaults = [one.file.serial_defaults for one in profiles if one.file.protocol != "modbus"]
    return tuple(dict.fromkeys(_wire_of(one) for one in defaults if one is not None))


def _wire_of(defaults: SerialDefaults) -> Wire:
    return Wire(
        kind="serial",
        baud=defaults.baud,
        parity=defaults.parity,
        data_bits=defaults.data_bits,
        stop_bits=defaults.stop_bits,
    )


def _bauds_in(notes: str) -> set[int]:
    """The speeds that a sentence of a profile names."""
    return {int(number) for number in re.findall(r"\b[0-9]{4,6}\b", notes)} & set(BAUDS)


def _unit_tiers(profiles: Sequence[Profile], *, is_serial: bool) -> tuple[list[int], list[int], list[int]]:
    """Unit ids in three tiers: where devices usually are, where they may be, everywhere else."""
    defaults = [one.file.serial_defaults if is_serial else one.file.tcp_defaults for one in profiles]
    usual = [1, *sorted({one.unit for one in defaults if one is not None and 1 <= one.unit <= UNIT_MAX})]
    near = list(dict.fromkeys([*usual, *range(2, NEAR_UNIT_MAX + 1)]))
    far = [unit for unit in range(NEAR_UNIT_MAX + 1, FAR_UNIT_MAX + 1) if unit not in near]
    rest = [unit for unit in range(FAR_UNIT_MAX + 1, UNIT_MAX + 1) if unit not in near]
    return near, far, rest


def _own_questions(profiles: Sequence[Profile]) -> tuple[tuple[int, int, int], ...]:
    """What the devices that we know answer with a value, for those that are silent about all they do not have."""
    registers = [one.registers[0] for one in profiles if one.registers and one.file.sunspec is None]
    return tuple(dict.fromkeys((one.function, one.start, one.end - one.start) for one in registers))
