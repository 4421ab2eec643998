"""The text of a meter map becomes a profile, or the list of its mistakes. Pure.

Everything that can be wrong in such a file is found here, before the first request, and said in one
sentence that names file, key or register, and remedy.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, ParamSpec, TypeVar

import msgspec

from firmware_bridge import identity, settings
from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import FieldEntry, MapFile, RegisterEntry, RegisterType, Sign, read_map_tree
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Field, Profile, Register
from firmware_bridge.read_limits import ADDRESSES, unreadable
from firmware_bridge.sentinels import sentinels_of, whole_sentinel
from firmware_bridge.settings import shown
from firmware_bridge.units import factor_of

T = TypeVar("T")
P = ParamSpec("P")
Entry = TypeVar("Entry", RegisterEntry, FieldEntry)

# Energy moves slowly: a counter is asked this often when it needs a request of its own.
COUNTER_PERIOD_S = 10.0
# Of a name that is none, this much is compared with those that are.
_KEY_CHARACTERS_MAX = 64
# Which signs can be said of a measurand whose name begins like this; the first one is ours.
_SIGNS: dict[str, tuple[Sign, Sign]] = {
    "active_power": ("import_positive", "generation_positive"),
    "reactive_power": ("import_positive", "generation_positive"),
    "current": ("import_positive", "generation_positive"),
    "battery_power": ("charge_positive", "discharge_positive"),
    "battery_current": ("charge_positive", "discharge_positive"),
}


class _Mistakes(list[SettingError]):
    """What was found wrong so far."""

    def hear(self, build: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | None:
        """What `build` makes; None when it is a mistake instead, which is kept."""
        try:
            return build(*args, **named)
        except SettingError as mistake:
            self.append(mistake)
            return None


def parse_profile(text: str, name: str) -> Profile:
    """The profile in `text`, which is the file `name`.toml.

    Raises:
        SettingError: anything is wrong with the file; names file, key or register, and the next step.
    """
    profile, mistakes = check_profile(text, name)
    if profile is None:
        raise mistakes[0]
    return profile


def check_profile(text: str, name: str) -> tuple[Profile | None, list[SettingError]]:
    """The profile in `text`, or None and all that is wrong with it, as far as one mistake does not hide another."""
    where = f"{name}.toml"
    try:
        tree = read_map_tree(text, where)
    except SettingError as mistake:
        return None, [mistake]
    mistakes = _Mistakes(settings.mistakes(tree, MapFile, f"{where}: "))
    entries = list(_entries(tree, "registers", RegisterEntry, where, mistakes))
    frame_entries = list(_entries(tree, "fields", FieldEntry, where, mistakes))
    if mistakes:
        return None, mistakes
    file = msgspec.convert(tree, MapFile)
    mistakes.hear(_check_file, file, name, where)
    for place, one in enumerate(file.identify):
        mistakes.hear(identity.check, one, file, f"{where}: identify[{place}]")
    invalid = _invalid(file, where, mistakes)
    registers = [mistakes.hear(_register, *one, file, invalid) for one in entries]
    fields = [mistakes.hear(_field, *one, file) for one in frame_entries]
    profile = Profile(name, file, tuple(filter(None, registers)), tuple(filter(None, fields)))
    mistakes.hear(_refuse_overlaps, profile.registers, where)
    return (None if mistakes else profile), mistakes


def _entries(
    tree: Mapping[str, Any], section: str, kind: type[Entry], where: str, mistakes: _Mistakes
) -> Iterator[tuple[Measurand, Entry, str]]:
    """The entries of a section whose shape is right, with their place for errors."""
    raw_entries = tree.get(section, {})
    for key, raw_entry in raw_entries.items() if isinstance(raw_entries, dict) else ():
        at = f"{where}: {section}.{key}"
        measurand = mistakes.hear(_measurand, key, at)
        if not isinstance(raw_entry, dict):
            mistakes.append(SettingError(at, shown(raw_entry), "is no table", "write { ... }, as for the others"))
        elif found := settings.mistakes(raw_entry, kind, f"{at}."):
            mistakes += found
        elif measurand is not None:
            yield measurand, msgspec.convert(raw_entry, kind), at


def _check_file(file: MapFile, name: str, where: str) -> None:
    if file.key != name:
        raise SettingError(f"{where}: key", repr(file.key), "is not the name of the file", f"write {name!r}")
    wanted, other = ("registers", "fields") if file.protocol == "modbus" else ("fields", "registers")
    if not getattr(file, wanted) or getattr(file, other):
        problem = f"is needed for protocol {file.protocol!r}"
        raise SettingError(f"{where}: {wanted}", "(missing)", problem, f"add it, without [{other}]")


def _invalid(file: MapFile, where: str, mistakes: _Mistakes) -> dict[RegisterType, tuple[float, ...]]:
    invalid = {}
    for name, raws in file.invalid.items():
        if name not in RegisterType.__members__.values():
            known = ", ".join(RegisterType)
            mistakes.append(SettingError(f"{where}: invalid.{name}", shown(raws), "is of no type", f"use {known}"))
            continue
        kind = RegisterType(name)
        invalid[kind] = mistakes.hear(sentinels_of, kind, raws, where) or ()
    return invalid


def _register(
    measurand: Measurand,
    entry: RegisterEntry,
    at: str,
    file: MapFile,
    invalid: Mapping[RegisterType, tuple[float, ...]],
) -> Register:
    factor = _factor(measurand, entry, at) * _direction(measurand, entry.sign, file, at)
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


def _field(measurand: Measurand, entry: FieldEntry, at: str, file: MapFile) -> Field:
    factor = _factor(measurand, entry, at) * _direction(measurand, None, file, at)
    return Field(
        measurand=measurand,
        code=entry.code,
        unit=entry.unit,
        numerator=factor.numerator,
        denominator=factor.denominator,
        plus=tuple(entry.plus),
        minus=tuple(entry.minus),
        choices=tuple(_choices(measurand, entry.values, at)),
    )


def _measurand(key: str, at: str) -> Measurand:
    if key not in Measurand.__members__.values():
        like = difflib.get_close_matches(key[:_KEY_CHARACTERS_MAX], list(Measurand), n=3)
        known = ", ".join([*like, *(one for one in Measurand if one not in like)])  # the likely ones first
        raise SettingError(at, "(key)", "is not a measurand", f"use one of: {known}")
    return Measurand(key)


def _factor(measurand: Measurand, entry: RegisterEntry | FieldEntry, at: str) -> Fraction:
    if entry.values:
        return Fraction(1)
    if entry.scale is None:
        raise SettingError(f"{at}.scale", "(missing)", "is needed", "add it: 1 where raw values are in the unit")
    return factor_of(measurand, entry.unit, entry.scale, at)


def _direction(measurand: Measurand, sign: Sign | None, file: MapFile, at: str) -> int:
    """-1 where the maker counts the other direction as positive than we do."""
    ours, theirs = next((pair for start, pair in _SIGNS.items() if measurand.startswith(start)), (None, None))
    if sign is None:
        return -1 if measurand.startswith("active_power") and file.sign == theirs else 1
    if sign not in (ours, theirs):
        remedy = f"use {ours} or {theirs}" if ours else "remove it"
        raise SettingError(f"{at}.sign", repr(sign), f"cannot be said of {measurand}", remedy)
    return -1 if sign == theirs else 1


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


def _refuse_overlaps(registers: Iterable[Register], where: str) -> None:
    """A register carries one value; only factors and what is added up may be shared."""
    alone = [one for one in registers if not (one.plus or one.minus)]
    for one, other in pairwise(sorted(alone, key=lambda r: (r.function, r.address))):
        if one.function == other.function and other.address < one.address + one.type.words:
            raise SettingError(
                f"{where}: registers.{other.measurand}.address",
                hex(other.address),
                f"overlaps {one.measurand} at {one.address:#x}, which takes {one.type.words}",
                "correct one of them",
            )
