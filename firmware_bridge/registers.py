"""Raw registers become values in SI units: word order, sentinels, scale, sums, enumerations. Pure.

The plain values of a block are unpacked by one `struct.unpack` whose format was made once from the
profile: that is what keeps a value in the order of 0.2 us. Values that are made of several registers, or
chosen from a list, are read beside it.
"""

import struct
from collections.abc import Sequence
from math import isfinite

from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.profile import Register

_FORMATS = {
    RegisterType.U16: "H",
    RegisterType.S16: "h",
    RegisterType.U32: "I",
    RegisterType.S32: "i",
    RegisterType.U64: "Q",
    RegisterType.S64: "q",
    RegisterType.F32: "f",
    RegisterType.ACC32: "I",
}

# SunSpec Device Information Model Specification, type sunssf: a power of ten from -10 to 10; 0x8000, which
# lies outside, means that there is none.
EXPONENT_MAX = 10


def decode(register: Register, words: Sequence[int]) -> float | None:
    """The value of one register in the unit of its measurand; None where the meter gave no value.

    `words` are those from `register.start` to `register.end` as they came, each 0..65535.
    """
    return BlockDecoder([register], register.start, register.end - register.start).decode(words)[0]


class BlockDecoder:
    """Decodes the words of one read: `count` words from `address`, with `registers` among them.

    Words of a low-word-first meter are turned round as a whole: then every value in them stands
    high word first, and the values come in reverse order.
    """

    def __init__(self, registers: Sequence[Register], address: int, count: int) -> None:
        orders = {register.word_order for register in registers}
        assert len(orders) == 1, "the words of one meter have one order"
        self._is_turned = orders == {WordOrder.LOW_FIRST}
        self._pack = struct.Struct(f">{count}H").pack
        view = _View(address, count, is_turned=self._is_turned)
        plain = sorted(
            (view.offset(register.address, register.type.words), index)
            for index, register in enumerate(registers)
            if _is_plain(register)
        )
        row = [(offset, registers[index].type) for offset, index in plain]
        self._unpack = struct.Struct(_format(row)).unpack_from
        self._plain = [
            (index, registers[index].numerator, registers[index].denominator, registers[index].invalid)
            for _, index in plain
        ]
        self._composite = [
            (index, _Composite(register, view)) for index, register in enumerate(registers) if not _is_plain(register)
        ]
        self._count = len(registers)

    def decode(self, words: Sequence[int]) -> list[float | None]:
        """The values in the order of the registers, finite; None where the meter gave no value."""
        buffer = self._pack(*(reversed(words) if self._is_turned else words))
        values: list[float | None] = [None] * self._count
        for raw, (index, numerator, denominator, invalid) in zip(self._unpack(buffer), self._plain, strict=True):
            if raw not in invalid:
                try:
                    value = raw * numerator / denominator
                except OverflowError:
                    continue
                if isfinite(value):
                    values[index] = value
        for index, composite in self._composite:
            values[index] = composite.value(buffer)
        return values


class _View:
    """Where things lie in the packed words of one read."""

    def __init__(self, address: int, count: int, *, is_turned: bool) -> None:
        self._address, self._end, self._is_turned = address, address + count, is_turned

    def offset(self, address: int, words: int) -> int:
        """The first byte of the value that has `words` from `address`."""
        return 2 * (self._end - address - words if self._is_turned else address - self._address)


class _Composite:
    """A value that takes more than one look: parts that are added up, a scale register, an enumeration."""

    def __init__(self, register: Register, view: _View) -> None:
        words = register.type.words
        self._unpack = struct.Struct(">" + _FORMATS[register.type]).unpack_from
        self._parts = [(view.offset(address, words), 1) for address in (register.address, *register.plus)]
        self._parts += [(view.offset(address, words), -1) for address in register.minus]
        self._invalid = register.invalid
        self._choices = {raw: float(place) for raw, place in register.choices}
        self._scale_offset = None if register.scale_address is None else view.offset(register.scale_address, 1)
        self._factors = {
            exponent: (register.numerator * 10 ** max(exponent, 0), register.denominator * 10 ** max(-exponent, 0))
            for exponent in range(-EXPONENT_MAX, EXPONENT_MAX + 1)
        }

    def value(self, buffer: bytes) -> float | None:
        """The value; None when a part, the scale or the choice says nothing."""
        total = 0
        for offset, sign in self._parts:
            (raw,) = self._unpack(buffer, offset)
            if raw in self._invalid:
                return None
            total += sign * raw
        if self._choices:
            return self._choices.get(total)
        factor = self._factors.get(self._exponent(buffer))
        return None if factor is None else _scaled(total, *factor)

    def _exponent(self, buffer: bytes) -> int:
        if self._scale_offset is None:
            return 0
        exponent: int = _SCALE.unpack_from(buffer, self._scale_offset)[0]
        return exponent


_SCALE = struct.Struct(">h")


def _scaled(raw: float, numerator: int, denominator: int) -> float | None:
    """Divided last, because 2301 / 10 is 230.1 and 2301 * 0.1 is not."""
    try:
        value = raw * numerator / denominator
    except OverflowError:
        return None
    return value if isfinite(value) else None


def _is_plain(register: Register) -> bool:
    return not (register.plus or register.minus or register.choices or register.scale_address is not None)


def _format(offsets: Sequence[tuple[int, RegisterType]]) -> str:
    """For `struct`: values at rising offsets in bytes, with the holes between them skipped."""
    parts, end = [">"], 0
    for offset, kind in offsets:
        assert offset >= end, "registers of a block do not overlap"
        parts += [f"{offset - end}x", _FORMATS[kind]]
        end = offset + 2 * kind.words
    return "".join(parts)
