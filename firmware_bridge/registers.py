"""Raw registers become values in SI units: word order, sentinels, scale. Pure.

A block is decoded by one `struct.unpack` whose format was made once from the profile: that is what
keeps a reading in the order of a microsecond.
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


def decode(register: Register, words: Sequence[int]) -> float | None:
    """The value of one register in the unit of its measurand; None for a sentinel, NaN or infinity.

    `words` are the register's own words as they came, each 0..65535.
    """
    return BlockDecoder([register], register.address, register.type.words).decode(words)[0]


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
        places = sorted(
            (address + count - register.end if self._is_turned else register.address - address, index)
            for index, register in enumerate(registers)
        )
        self._unpack = struct.Struct(_format([(place, registers[index].type) for place, index in places])).unpack_from
        self._scales = [
            (index, registers[index].numerator, registers[index].denominator, registers[index].invalid)
            for _, index in places
        ]

    def decode(self, words: Sequence[int]) -> list[float | None]:
        """The values in the order of the registers; None where the meter gave no value."""
        raws = self._unpack(self._pack(*(reversed(words) if self._is_turned else words)))
        values: list[float | None] = [None] * len(raws)
        for raw, (index, numerator, denominator, invalid) in zip(raws, self._scales, strict=True):
            if raw not in invalid and isfinite(raw):
                values[index] = raw * numerator / denominator
        return values


def _format(places: Sequence[tuple[int, RegisterType]]) -> str:
    """For `struct`: values at rising places, counted in words, with the holes between them skipped."""
    parts, end = [">"], 0
    for place, kind in places:
        assert place >= end, "registers of a block do not overlap"
        parts += [f"{2 * (place - end)}x", _FORMATS[kind]]
        end = place + kind.words
    return "".join(parts)
