"""What a receiver hears when a sender speaks: bits on a wire, sampled at the receiver's own speed. Pure.

A wrong speed or parity garbles bytes here for the reason it does on copper, so that a master which
tries all settings finds the same half-truths: a unit that accepts an eighth bit for a parity, a
byte that is right by chance. What differs is the same in every run.
"""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from firmware_bridge.simulator.line_settings import Parity

_DATA_BITS = 8
# "Modbus over Serial Line" V1.02, 2.5.1.1: frames lie 3.5 characters apart, above 19200 baud 1.75 ms.
_SILENCE_CHARACTERS = 3.5
_SILENCE_S_MIN = 0.00175


@dataclass(frozen=True, slots=True)
class Framing:
    """How bytes become bits."""

    baud: int
    parity: Parity = "N"
    stop_bits: int = 1

    @property
    def bits(self) -> int:
        """Bits of one character, start and stop included."""
        return 1 + _DATA_BITS + (self.parity != "N") + self.stop_bits

    @property
    def character_s(self) -> float:
        """How long a byte is on the wire."""
        return self.bits / self.baud

    @property
    def silence_s(self) -> float:
        """The silence that ends a frame of Modbus RTU."""
        return max(_SILENCE_CHARACTERS * self.character_s, _SILENCE_S_MIN)


class Heard(NamedTuple):
    """What arrived."""

    data: bytes
    # no byte had a wrong parity or stop bit; a meter ignores a frame where one has, an adapter hands it on
    is_clean: bool


def hear(data: bytes, sender: Framing, receiver: Framing) -> Heard:
    """What the receiver makes of `data`, sent byte after byte without a pause."""
    if (sender.baud, sender.parity) == (receiver.baud, receiver.parity):
        return Heard(data, is_clean=True)  # a receiver looks at the first stop bit only
    levels = _levels(data, sender)
    # A start bit begins where the wire falls from idle, or from a bit that was 1.
    falls = [at for at, (before, now) in enumerate(pairwise([1, *levels])) if before > now]
    step = sender.baud / receiver.baud  # bits of the sender in one of the receiver
    last_bit = 1 + _DATA_BITS + (receiver.parity != "N")
    bytes_heard, is_clean, after = bytearray(), True, 0.0
    while (place := bisect_left(falls, after)) < len(falls):
        samples = [_level(levels, falls[place] + step * (bit + 0.5)) for bit in range(last_bit + 1)]
        byte = sum(level << bit for bit, level in enumerate(samples[1 : 1 + _DATA_BITS]))
        bytes_heard.append(byte)
        is_clean &= samples[1 + _DATA_BITS :] == [*_parity_bits(byte, receiver.parity), 1]
        after = falls[place] + step * (last_bit + 0.5)
    return Heard(bytes(bytes_heard), is_clean)


def _levels(data: bytes, framing: Framing) -> list[int]:
    """The wire, bit after bit: start, data from the lowest bit on, parity, stop."""
    stop = [1] * framing.stop_bits
    return [
        level
        for byte in data
        for level in (0, *(byte >> bit & 1 for bit in range(_DATA_BITS)), *_parity_bits(byte, framing.parity), *stop)
    ]


def _level(levels: list[int], at: float) -> int:
    """The wire at a time in bits; idle after the last one."""
    return levels[int(at)] if at < len(levels) else 1


def _parity_bits(byte: int, parity: Parity) -> list[int]:
    ones = byte.bit_count() % 2
    return {"N": [], "E": [ones], "O": [1 - ones]}[parity]
