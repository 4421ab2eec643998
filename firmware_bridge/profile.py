"""A meter profile: what one TOML file says of a meter model, checked into registers in SI units. Pure.

A meter is one file; adding one never needs Python. Everything that can be wrong in such a file is
found here, before the first request, and said in one sentence that names file, register and remedy.
"""

import struct
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

import msgspec

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import MapFile, RegisterEntry, RegisterType, WordOrder, convert, read_map_file, shown
from firmware_bridge.measurand import Measurand


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measurand lies in the meter and what makes an SI value of it.

    The value is `raw * numerator / denominator` in the unit of the measurand: whole numbers, because
    2301 / 10 is 230.1 and 2301 * 0.1 is not. `invalid` are raw values that mean "no value".
    """

    measurand: Measurand
    function: int
    address: int
    type: RegisterType
    word_order: WordOrder
    numerator: int
    denominator: int
    invalid: tuple[float, ...] = ()

    @property
    def end(self) -> int:
        """The address after the last register of the value."""
        return self.address + self.type.words


class Profile(msgspec.Struct, frozen=True):
    """A checked meter model: `registers` in the order of the file, no two overlap, each fits one request."""

    name: str
    file: MapFile
    registers: tuple[Register, ...]


# unit in the maker's document -> SI unit of ours, how many of ours are in one
_UNITS: dict[str, tuple[str, Fraction]] = {
    "W": ("W", Fraction(1)),
    "kW": ("W", Fraction(1000)),
    "var": ("var", Fraction(1)),
    "kvar": ("var", Fraction(1000)),
    "VA": ("VA", Fraction(1)),
    "kVA": ("VA", Fraction(1000)),
    "V": ("V", Fraction(1)),
    "mV": ("V", Fraction(1, 1000)),
    "kV": ("V", Fraction(1000)),
    "A": ("A", Fraction(1)),
    "mA": ("A", Fraction(1, 1000)),
    "Hz": ("Hz", Fraction(1)),
    "mHz": ("Hz", Fraction(1, 1000)),
    "Wh": ("Wh", Fraction(1)),
    "kWh": ("Wh", Fraction(1000)),
    "MWh": ("Wh", Fraction(1_000_000)),
    "1": ("1", Fraction(1)),
    "%": ("1", Fraction(1, 100)),
}


def parse_profile(text: str, name: str) -> Profile:
    """The profile in `text`, which is the file `name`.toml.

    Raises:
        SettingError: anything is wrong with the file; names file, key or register, and the next step.
    """
    where = f"{name}.toml"
    file = read_map_file(text, where)
    if file.key != name:
        raise SettingError(f"{where}: key", repr(file.key), "is not the name of the file", f"write {name!r}")
    invalid = {kind: _sentinels(kind, raws, where) for kind, raws in file.invalid.items()}
    registers = tuple(_register(key, entry, file, invalid, where) for key, entry in file.registers.items())
    _refuse_overlaps(registers, where)
    return Profile(name, file, registers)


def _register(
    key: str, raw_entry: object, file: MapFile, invalid: Mapping[RegisterType, tuple[float, ...]], where: str
) -> Register:
    at = f"{where}: registers.{key}"
    if key not in Measurand.__members__.values():
        known = ", ".join(Measurand)
        raise SettingError(at, "(key)", "is not a measurand", f"use one of: {known}")
    measurand = Measurand(key)
    entry = convert(raw_entry, RegisterEntry, at)
    unit, per_unit = _UNITS.get(entry.unit, ("", Fraction(1)))
    if unit != measurand.facts.unit:
        fitting = " or ".join(name for name, (si, _) in _UNITS.items() if si == measurand.facts.unit)
        raise SettingError(
            f"{at}.unit", repr(entry.unit), f"does not fit {measurand}", f"use {fitting}, and set scale to match"
        )
    if entry.type.words > file.max_read:
        raise SettingError(
            f"{at}.type",
            str(entry.type),
            f"does not fit max_read = {file.max_read}",
            "raise max_read or mind the type",
        )
    if entry.address + entry.type.words > 0x10000:
        raise SettingError(
            f"{at}.address", hex(entry.address), "leaves no room for the value below 0x10000", "correct the address"
        )
    # The decimal that was written, not its nearest float: 0.1 is one tenth.
    factor = Fraction(str(entry.scale)) * per_unit
    if file.sign == "generation_positive" and unit == "W":
        factor = -factor
    return Register(
        measurand=measurand,
        function=entry.function,
        address=entry.address,
        type=entry.type,
        word_order=file.word_order,
        numerator=factor.numerator,
        denominator=factor.denominator,
        invalid=invalid.get(entry.type, ()),
    )


def _refuse_overlaps(registers: tuple[Register, ...], where: str) -> None:
    for one, other in pairwise(sorted(registers, key=lambda r: (r.function, r.address))):
        if one.function == other.function and other.address < one.end:
            raise SettingError(
                f"{where}: registers.{other.measurand}.address",
                hex(other.address),
                f"overlaps {one.measurand} at {one.address:#x}, which takes {one.type.words}",
                "correct one of them",
            )


def _sentinels(kind: RegisterType, raws: list[int | str], where: str) -> tuple[float, ...]:
    at = f"{where}: invalid.{kind}"
    values = []
    for raw in raws:
        try:
            values.append(_float_sentinel(raw) if kind is RegisterType.F32 else _whole_sentinel(kind, raw))
        except (ValueError, OverflowError) as error:
            raise SettingError(
                at,
                shown(raw),
                f"is not a raw value of {kind.bits} bits",
                "write its bits, 0x7FFFFFFF, or for f32 also a number",
            ) from error
    return tuple(values)


def _whole_sentinel(kind: RegisterType, raw: int | str) -> int:
    bits = int(raw, 0) if isinstance(raw, str) else raw
    if not 0 <= bits < 1 << kind.bits:
        raise ValueError(raw)
    is_negative = kind.startswith("s") and bits >> (kind.bits - 1)
    return bits - (1 << kind.bits) if is_negative else bits


def _float_sentinel(raw: int | str) -> float:
    """From bits (0x7F800000) or a number ("-1", "NaN"); rounded to f32, as the meter would send it."""
    is_bits = isinstance(raw, int) or raw.lower().startswith("0x")
    packed = _whole_sentinel(RegisterType.U32, raw).to_bytes(4, "big") if is_bits else struct.pack(">f", float(raw))
    value: float = struct.unpack(">f", packed)[0]
    return value
