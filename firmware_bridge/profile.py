"""A meter profile: what one TOML file says of a meter model, checked into registers in SI units. Pure.

A meter is one file; adding one never needs Python. Everything that can be wrong in such a file is
found here, before the first request, and said in one sentence that names file, register and remedy.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise

import msgspec

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import (
    FieldEntry,
    MapFile,
    RegisterEntry,
    RegisterType,
    WordOrder,
    convert,
    read_map_file,
    shown,
)
from firmware_bridge.measurand import Measurand
from firmware_bridge.read_limits import unreadable
from firmware_bridge.sentinels import sentinels_of, whole_sentinel
from firmware_bridge.units import factor_of

# Modbus Application Protocol V1.1b3, 4.4: an address has 16 bits.
ADDRESSES = 0x10000


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measurand lies in the meter and what makes an SI value of it.

    The value is `raw * numerator / denominator` in the unit of the measurand: whole numbers, because
    2301 / 10 is 230.1 and 2301 * 0.1 is not. `raw` is the register itself, with the registers at `plus`
    added and those at `minus` taken off, times ten to the power of the one at `scale_address`. `invalid`
    are raw values that mean "no value". In a SunSpec profile, addresses are offsets until `placed`.
    """

    measurand: Measurand
    function: int
    address: int
    type: RegisterType
    word_order: WordOrder
    numerator: int
    denominator: int
    invalid: tuple[float, ...] = ()
    plus: tuple[int, ...] = ()
    minus: tuple[int, ...] = ()
    scale_address: int | None = None
    # raw value -> value, for enumerations
    choices: tuple[tuple[int, int], ...] = ()
    # SI value at which a counter begins again at 0
    wraps_at: float | None = None
    # seconds between reads; 0 for each sweep
    period_s: float = 0.0

    @property
    def start(self) -> int:
        """The lowest address that the value needs."""
        return min(place for place, _ in self.places)

    @property
    def end(self) -> int:
        """The address after the last register that the value needs."""
        return max(place + words for place, words in self.places)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Address and count of everything the value needs, all from one request."""
        places = [(address, self.type.words) for address in (self.address, *self.plus, *self.minus)]
        return places if self.scale_address is None else [*places, (self.scale_address, 1)]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Which fields of a frame make up a measurand: `code` and `plus` less `minus`, scaled as in Register."""

    measurand: Measurand
    code: str
    unit: str
    numerator: int
    denominator: int
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    choices: tuple[tuple[str, int], ...] = ()


class Profile(msgspec.Struct, frozen=True):
    """A checked meter model: `registers` or `fields`, in the order of the file.

    No two registers overlap, each with all it needs fits one request.
    """

    name: str
    file: MapFile
    registers: tuple[Register, ...]
    fields: tuple[Field, ...] = ()


# Energy moves slowly: a counter is asked this often when it needs a request of its own.
COUNTER_PERIOD_S = 10.0


def parse_profile(text: str, name: str) -> Profile:
    """The profile in `text`, which is the file `name`.toml.

    Raises:
        SettingError: anything is wrong with the file; names file, key or register, and the next step.
    """
    where = f"{name}.toml"
    file = read_map_file(text, where)
    if file.key != name:
        raise SettingError(f"{where}: key", repr(file.key), "is not the name of the file", f"write {name!r}")
    if file.protocol != "modbus":
        return Profile(name, file, (), _fields(file, where))
    if not file.registers or file.fields:
        raise SettingError(f"{where}: registers", "(missing)", "is needed for Modbus", "add it, without [fields]")
    invalid = {kind: sentinels_of(kind, raws, where) for kind, raws in file.invalid.items()}
    registers = tuple(_register(key, entry, file, invalid, where) for key, entry in file.registers.items())
    _refuse_overlaps(registers, where)
    return Profile(name, file, registers)


def placed(profile: Profile, base: int) -> Profile:
    """A SunSpec profile with its registers where they lie in this device: its model begins at `base`."""
    registers = tuple(
        msgspec.structs.replace(
            one,
            address=one.address + base,
            plus=tuple(address + base for address in one.plus),
            minus=tuple(address + base for address in one.minus),
            scale_address=None if one.scale_address is None else one.scale_address + base,
        )
        for one in profile.registers
    )
    return msgspec.structs.replace(profile, registers=registers)


def _register(
    key: str, raw_entry: object, file: MapFile, invalid: Mapping[RegisterType, tuple[float, ...]], where: str
) -> Register:
    at = f"{where}: registers.{key}"
    measurand = _measurand(key, at)
    entry = convert(raw_entry, RegisterEntry, at)
    factor = _factor(measurand, entry, file, at)
    wraps_at = entry.wraps_at or _wrap_of(entry.type)
    register = Register(
        measurand=measurand,
        function=entry.function,
        address=entry.address,
        type=entry.type,
        word_order=file.word_order,
        numerator=factor.numerator,
        denominator=factor.denominator,
        invalid=invalid.get(entry.type, ()),
        plus=tuple(entry.plus),
        minus=tuple(entry.minus),
        scale_address=entry.scale_address,
        choices=tuple(_raw_choices(measurand, entry, at)),
        wraps_at=wraps_at * float(factor) if measurand.facts.is_counter and wraps_at else None,
        period_s=_period_s(measurand, entry),
    )
    _refuse_unreadable(register, file, at)
    return register


def _fields(file: MapFile, where: str) -> tuple[Field, ...]:
    if not file.fields or file.registers:
        problem = f"is needed for protocol {file.protocol!r}"
        raise SettingError(f"{where}: fields", "(missing)", problem, "add it, without [registers]")
    fields = []
    for key, raw_entry in file.fields.items():
        at = f"{where}: fields.{key}"
        measurand = _measurand(key, at)
        entry = convert(raw_entry, FieldEntry, at)
        factor = _factor(measurand, entry, file, at)
        fields.append(
            Field(
                measurand=measurand,
                code=entry.code,
                unit=entry.unit,
                numerator=factor.numerator,
                denominator=factor.denominator,
                plus=tuple(entry.plus),
                minus=tuple(entry.minus),
                choices=tuple(_choices(measurand, entry.values, at)),
            )
        )
    return tuple(fields)


def _measurand(key: str, at: str) -> Measurand:
    if key not in Measurand.__members__.values():
        known = ", ".join(Measurand)
        raise SettingError(at, "(key)", "is not a measurand", f"use one of: {known}")
    return Measurand(key)


def _factor(measurand: Measurand, entry: RegisterEntry | FieldEntry, file: MapFile, at: str) -> Fraction:
    if entry.values:
        return Fraction(1)
    if entry.scale is None:
        raise SettingError(f"{at}: scale", "(missing)", "is needed", "add it: 1 where raw values are in the unit")
    factor = factor_of(measurand, entry.unit, entry.scale, at)
    is_turned = file.sign == "generation_positive" and measurand.startswith("active_power")
    return -factor if is_turned else factor


def _raw_choices(measurand: Measurand, entry: RegisterEntry, at: str) -> Iterator[tuple[int, int]]:
    for raw, place in _choices(measurand, entry.values, at):
        try:
            yield int(whole_sentinel(entry.type, raw)), place
        except ValueError as error:
            problem = f"is not a raw value of {entry.type.bits} bits"
            raise SettingError(f"{at}.values", shown(raw), problem, "write its digits, in quotes or bare") from error


def _choices(measurand: Measurand, values: Mapping[str, str], at: str) -> Iterator[tuple[str, int]]:
    choices = measurand.facts.choices
    for raw, choice in values.items():
        if choice not in choices:
            remedy = f"use one of: {', '.join(choices)}" if choices else "remove values, and give unit and scale"
            raise SettingError(f"{at}.values", shown(choice), f"is no choice of {measurand}", remedy)
        yield raw, choices.index(choice)


def _wrap_of(kind: RegisterType) -> float | None:
    """Where a counter of this type begins again: 64 bits never fill, and floats are the maker's affair."""
    if kind is RegisterType.F32 or kind.bits > 32:
        return None
    return float(1 << (kind.bits - kind.is_signed))


def _period_s(measurand: Measurand, entry: RegisterEntry) -> float:
    if entry.period_s is not None:
        return entry.period_s
    return COUNTER_PERIOD_S if measurand.facts.is_counter else 0.0


def _refuse_unreadable(register: Register, file: MapFile, at: str) -> None:
    """Everything the value needs lies in the address space and fits one request of this device."""
    for address, words in register.places:
        if address + words > ADDRESSES:
            raise SettingError(
                f"{at}.address", hex(address), "leaves no room for the value below 0x10000", "correct the address"
            )
    if reason := unreadable(file, register.start, register.end):
        key, problem, remedy = reason
        value = str(register.type) if register.places == [(register.address, register.type.words)] else "(all parts)"
        raise SettingError(f"{at}.{key}", value, problem, remedy)


def _refuse_overlaps(registers: tuple[Register, ...], where: str) -> None:
    """A register carries one value; only factors and what is added up may be shared."""
    for one, other in pairwise(sorted(registers, key=lambda r: (r.function, r.address))):
        if one.function == other.function and other.address < one.address + one.type.words:
            raise SettingError(
                f"{where}: registers.{other.measurand}.address",
                hex(other.address),
                f"overlaps {one.measurand} at {one.address:#x}, which takes {one.type.words}",
                "correct one of them",
            )
