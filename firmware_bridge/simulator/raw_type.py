"""How a raw value lies in registers: its bits, its limits, its words. Pure."""

import struct
from dataclasses import dataclass

_F32_MAX = 3.4028234e38


@dataclass(frozen=True, slots=True)
class RawType:
    """One of the types that a map names."""

    packer: struct.Struct
    # The highest of a signed type means "no value" in several makers' maps, the lowest in others, and
    # so do all ones of an unsigned one: none of them is given out as a value.
    lowest: int = 0
    highest: int = 0
    # raw value at which a counter begins again; None where it never gets there
    wrap: int | None = None
    # whether raw values have fractions
    is_float: bool = False

    @property
    def is_signed(self) -> bool:
        """Whether raw values can be negative."""
        return self.is_float or self.lowest < 0

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return self.packer.size // 2

    def fit(self, raw: float) -> float:
        """The nearest raw value that it can give out."""
        if self.is_float:
            nearest: float = self.packer.unpack(self.packer.pack(min(max(raw, -_F32_MAX), _F32_MAX)))[0]
            return nearest
        return min(max(round(raw), self.lowest), self.highest)

    def pack(self, raw: float, *, is_low_first: bool) -> bytes:
        """The words of a raw value that fits."""
        packed = self.packer.pack(raw)
        return swap_words(packed) if is_low_first else packed

    def pack_bits(self, bits: int, *, is_low_first: bool) -> bytes:
        """The words with these bits, whatever they mean."""
        packed = bits.to_bytes(self.packer.size, "big")
        return swap_words(packed) if is_low_first else packed


def _unsigned(letter: str, bits: int) -> RawType:
    return RawType(struct.Struct(f">{letter}"), 0, 2**bits - 2, 2**bits if bits <= 32 else None)


def _signed(letter: str, bits: int) -> RawType:
    half = 1 << bits - 1
    return RawType(struct.Struct(f">{letter}"), 1 - half, half - 2, half if bits <= 32 else None)


RAW_TYPES: dict[str, RawType] = {
    "u16": _unsigned("H", 16),
    "s16": _signed("h", 16),
    "u32": _unsigned("I", 32),
    "s32": _signed("i", 32),
    "u64": _unsigned("Q", 64),
    "s64": _signed("q", 64),
    # SunSpec's counter; its 0 means that it never counted
    "acc32": RawType(struct.Struct(">I"), 1, 2**32 - 2, 2**32),
    "f32": RawType(struct.Struct(">f"), is_float=True),
}


def swap_words(words: bytes) -> bytes:
    """The same 16-bit words, last one first."""
    return b"".join(words[place : place + 2] for place in range(len(words) - 2, -2, -2))
