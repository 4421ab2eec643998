"""Frames as a bad line delivers them: bits flipped here and there, in bursts, or noise behind a right header."""

from enum import StrEnum
from itertools import cycle
from random import Random

from firmware_bridge.rtu import crc

FLIPS_MIN, FLIPS_MAX = 4, 16
# A CRC of 16 bits finds every burst of 16 bits; longer ones it finds by chance.
BURST_BITS_MIN = 17
# Unit, function and count of bytes.
HEADER_BYTES = 3
CRC_BYTES = 2


class Kind(StrEnum):
    """How a frame is damaged."""

    FLIPS = "flips"
    BURST = "burst"
    NOISE = "noise"


class Damage:
    """Damages one frame after another: a third of each kind."""

    def __init__(self, seed: int, *, has_right_crc: bool = False) -> None:
        """`has_right_crc`: the checksum is that of the damaged frame, as if noise had hit it by chance."""
        self._random = Random(seed)
        self._kinds = cycle(Kind)
        self._has_right_crc = has_right_crc

    def of(self, frame: bytes) -> tuple[Kind, bytes]:
        """What becomes of a frame of Modbus RTU; never the frame itself."""
        kind = next(self._kinds)
        whole = frame[:-CRC_BYTES] if self._has_right_crc else frame
        while (damaged := self._damaged(kind, whole)) == whole:
            pass
        return kind, damaged + crc(damaged) if self._has_right_crc else damaged

    def _damaged(self, kind: Kind, frame: bytes) -> bytes:
        if kind is Kind.NOISE:
            return frame[:HEADER_BYTES] + self._random.randbytes(len(frame) - HEADER_BYTES)
        bits = 8 * len(frame)
        mask = self._flips(bits) if kind is Kind.FLIPS else self._burst(bits)
        return (int.from_bytes(frame, "big") ^ mask).to_bytes(len(frame), "big")

    def _flips(self, bits: int) -> int:
        mask, flips = 0, self._random.randint(FLIPS_MIN, FLIPS_MAX)
        while mask.bit_count() < flips:
            mask |= 1 << int(self._random.random() * bits)
        return mask

    def _burst(self, bits: int) -> int:
        """A burst begins and ends with a wrong bit; between them, half are."""
        length = self._random.randint(BURST_BITS_MIN, bits)
        burst = 1 << length - 1 | self._random.getrandbits(length) | 1
        return burst << self._random.randrange(bits - length + 1)
