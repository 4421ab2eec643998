"""Frames of microcontroller sensors: COBS around a small map and its CRC-32. Pure.

README.md is the specification. CRC-32 and not one of the CRC-16s of the meters: MicroPython and the ROM of the
ESP32 have it ready, and it lets one damaged frame in 4,000,000,000 through where they let one in 65,536.
"""

import json
import re
import zlib
from collections import Counter
from math import isfinite
from typing import Any

import cbor2
from cobs import cobs

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError

DELIMITER = b"\0"
CRC_BYTES = 4
# A buffer of 256 holds any frame, and COBS never gets to the 254 bytes at which it begins a second block: the
# encoder on the microcontroller is one loop.
BODY_BYTES_MAX = 240
# one byte of COBS, and the delimiter
FRAME_BYTES_MAX = 1 + BODY_BYTES_MAX + CRC_BYTES + 1

# As many as Modbus units, because a meter's `unit` says which sensor of a line it is.
_SENSORS_MAX = 247
_SEQUENCES = 0x10000
# Beyond such a step the sensor began anew.
_LOST_MAX = 1000
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
# RFC 8259: a JSON object begins with "{". RFC 8949, 3.1: a CBOR map begins with a byte of major type 5.
_JSON_FIRST = ord("{")
_CBOR_MAP = 5
# CBOR: an array of two, the body and a byte string: proof that the map ends where the body does.
_CBOR_HEAD, _CBOR_TAIL = b"\x82", b"\x43end"

Pairs = list[tuple[Any, Any]]


class SensorReader:
    """Reads the frames of all sensors of one line."""

    def __init__(self) -> None:
        self.refused: Counter[Refusal] = Counter()
        # frames that never came, by the sequence numbers of those that did
        self.lost = 0
        self._held = b""
        self._sequences: dict[int, int] = {}

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        *pieces, rest = (self._held + data).split(DELIMITER)
        # enough to see that it is too long, once it ends
        self._held = rest[:FRAME_BYTES_MAX]
        frames = []
        for piece in filter(None, pieces):
            try:
                frames.append(self._frame(piece))
            except RefusedError as error:
                self.refused[error.reason] += 1
        return frames

    def _frame(self, piece: bytes) -> Frame:
        values = _values(_body(piece))
        number = _whole(values.pop("id", None), 1, _SENSORS_MAX)
        sequence = values.pop("seq", None)
        if sequence is not None:
            self._count_lost(number, _whole(sequence, 0, _SEQUENCES - 1))
        return Frame(str(number), {key: (value, "") for key, value in values.items() if value is not None})

    def _count_lost(self, number: int, sequence: int) -> None:
        if number in self._sequences:
            lost = (sequence - self._sequences[number] - 1) % _SEQUENCES
            self.lost += lost if lost <= _LOST_MAX else 0
        self._sequences[number] = sequence


def _body(piece: bytes) -> bytes:
    """What the CRC of a frame vouches for."""
    if len(piece) >= FRAME_BYTES_MAX:
        raise RefusedError(Refusal.LENGTH)
    try:
        whole: bytes = cobs.decode(piece)
    except cobs.DecodeError as error:
        raise RefusedError(Refusal.FRAMING) from error
    body = whole[:-CRC_BYTES]
    if not body or zlib.crc32(body) != int.from_bytes(whole[-CRC_BYTES:], "little"):
        raise RefusedError(Refusal.CRC)
    return body


def _values(body: bytes) -> dict[str, float | None]:
    try:
        pairs = _json_pairs(body) if body[0] == _JSON_FIRST else _cbor_pairs(body)
        values = {_key(key): _number(value) for key, value in pairs}
    except (ValueError, OverflowError, RecursionError, cbor2.CBORDecodeError) as error:
        raise RefusedError(Refusal.BODY) from error
    if len(values) < len(pairs):
        raise RefusedError(Refusal.DUPLICATE)
    return values


def _json_pairs(body: bytes) -> Pairs:
    """A list, because a dict keeps the last of two values with one name. An object inside is one too: no number."""
    pairs: Pairs = json.loads(body.decode(), object_pairs_hook=list, parse_constant=float)
    return pairs


def _cbor_pairs(body: bytes) -> Pairs:
    if body[0] >> 5 != _CBOR_MAP:
        raise ValueError(body[0])
    whole = _CBOR_HEAD + body + _CBOR_TAIL
    found, end = cbor2.loads(whole, max_depth=2, allow_indefinite=False, allow_duplicate_keys=False)
    if end != _CBOR_TAIL[1:]:
        raise ValueError(end)
    return list(found.items())


def _key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(key)
    return key


def _number(value: object) -> float | None:
    """A finite number; 1 and 0 for true and false; None where the sensor has no value now."""
    if value is None:
        return None
    if not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(value)
    return float(value)


def _whole(value: float | None, low: int, high: int) -> int:
    if value is None or not value.is_integer() or not low <= value <= high:
        raise RefusedError(Refusal.BODY)
    return int(value)
