"""Modbus RTU: frames, the time they take, and what the bytes on a serial line mean. Pure.

A frame has no number and no mark where it begins: only unit, function, length and CRC tell the answer
from noise, and nothing tells it from a late answer to a like request; late_reply.py sees to that.
Nothing found here ends a wait at once, because the answer may stand behind it, until the line is idle.
Modbus over Serial Line V1.02; Modbus Application Protocol V1.1b3.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from fastcrc import crc16

from firmware_bridge.config import BusConfig
from firmware_bridge.verdict import (
    EXCEPTION_BIT,
    IDENTIFY,
    READS,
    WAITING,
    Fault,
    Frame,
    Request,
    State,
    Verdict,
    objects_end,
)

# A frame ends with a silence: nothing of what came before a request belongs to its answer.
IS_STREAM = False

# Serial Line 2.5.1: unit, PDU of at most 253 bytes, CRC.
FRAME_BYTES_MAX = 256
# Who talks on without the answer in so many bytes babbles: the answer, and three late ones before it.
RECEIVED_BYTES_MAX = 4 * FRAME_BYTES_MAX

_READ = struct.Struct(">BBHH")
_CRC = struct.Struct("<H")
_REQUEST_BYTES = _READ.size + _CRC.size
_CRC_BYTES = _CRC.size
# Unit, function, code, CRC: the shortest reply there is. A read has unit, function and count of bytes before them.
_EXCEPTION_BYTES = 3 + _CRC_BYTES
_READ_OVERHEAD_BYTES = 3 + _CRC_BYTES
# Identification without an object.
_IDENTITY_BYTES_MIN = 8 + _CRC_BYTES

# Where a reply can begin: a unit from 1 to 247, a function that reads, or an exception to one.
_HEAD = re.compile(rb"[\x01-\xf7](?=[\x01-\x04\x2b\x81-\x84\xab])")

_SAID = {
    Fault.CRC: "checksum wrong",
    Fault.LENGTH: "length wrong",
    Fault.UNIT: "unit wrong",
    Fault.FUNCTION: "function wrong",
}

# Serial Line 2.5.1.1: silence between frames is 3.5 characters, and fixed above 19200 baud.
_SILENCE_CHARACTERS = 3.5
_SILENCE_FIXED_ABOVE_BAUD = 19_200
_SILENCE_FIXED_S = 0.00175


class LineTiming(msgspec.Struct, frozen=True):
    """How long things take on a serial line, seconds."""

    character_s: float
    # what must be kept between any two frames
    silence_s: float

    @classmethod
    def of(cls, bus: BusConfig) -> "LineTiming":
        """The times of this line."""
        bits = 1 + bus.data_bits + (bus.parity != "N") + bus.stop_bits
        character_s = bits / bus.baud
        is_fixed = bus.baud > _SILENCE_FIXED_ABOVE_BAUD
        return cls(character_s, _SILENCE_FIXED_S if is_fixed else _SILENCE_CHARACTERS * character_s)

    def read_s(self, count: int) -> float:
        """Request and answer of `count` registers on the wire, and the silence before each."""
        return (_REQUEST_BYTES + _READ_OVERHEAD_BYTES + 2 * count) * self.character_s + 2 * self.silence_s


def crc(data: bytes) -> bytes:
    """The two bytes that end a frame; Serial Line 6.2.2."""
    return _CRC.pack(crc16.modbus(data))


def read_request(unit: int, function: int, address: int, count: int) -> Request:
    """The request for `count` registers from `address`."""
    body = _READ.pack(unit, function, address, count)
    return Request(unit, function, count, body + crc(body))


def asked_by(frame: bytes) -> Request:
    """What a request of ours asks, from its bytes."""
    unit, function = frame[:2]
    return Request(unit, function, int.from_bytes(frame[4:6], "big") if function in READS else 0, frame)


def judge(request: Request, received: bytes, *, is_idle: bool = False) -> Verdict:
    """What the bytes received since the request left mean.

    Whole frames that answer something else are passed over, noise is survived; an echo of the request
    is skipped, with what came before it. Only once the line `is_idle` is what came called broken, and only
    when it was the answer by its head or its length: a little noise before the answer is common.
    """
    start = _start(request, received)
    if not is_idle and _is_answer_coming(request, received, start):
        return WAITING
    passed_over: list[Frame] = []
    passed_bytes = 0
    fault = None
    for found in _frames(received, start):
        is_ours = found.unit == request.unit and found.function & ~EXCEPTION_BIT == request.function
        if not found.is_whole:
            if is_ours:
                fault = Fault.CRC if fault is Fault.CRC or found.end <= len(received) else Fault.LENGTH
            continue
        why = _difference(request, found)
        if why is None:
            return _answer(request, received, found, passed_over)
        passed_over.append(found.told(why))
        passed_bytes += found.end - found.start
    came_bytes = len(received) - start
    if came_bytes > RECEIVED_BYTES_MAX:
        return _refused(Fault.CRC, f"babble of {came_bytes} bytes", passed_over)
    loose_bytes = came_bytes - passed_bytes
    if is_idle and _is_meant_as_answer(request, loose_bytes, fault):
        why = _fault_of_whole(request, received[start:]) or fault or Fault.CRC
        return _refused(why, f"{_SAID[why]}, {loose_bytes} bytes", passed_over)
    return Verdict(State.WAITING, passed_over=tuple(passed_over))


def take_frames(received: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames in what came when nobody asked, and what may be the beginning of another."""
    end, frames = 0, []
    for found in _frames(received, 0):
        if found.is_whole:
            frames.append(found.told(Fault.OTHER_ANSWER))
            end = found.end
    return frames, received[end:][-FRAME_BYTES_MAX:]


class _Found(NamedTuple):
    """Bytes `[start, end)` that begin like a reply; `is_whole`: all there, and the CRC is right."""

    start: int
    end: int
    is_whole: bool
    unit: int
    function: int
    data_bytes: int

    def told(self, why: Fault) -> Frame:
        return Frame(self.unit, self.function, self.data_bytes // 2 if self.function in READS else 0, why)


def _frames(received: bytes, at: int) -> Iterator[_Found]:
    """Every place where a reply may begin, outside whole ones."""
    while head := _HEAD.search(received, at):
        start = head.start()
        end = _end(received, start)
        is_whole = end <= len(received) and crc16.modbus(received[start : end - _CRC_BYTES]) == int.from_bytes(
            received[end - _CRC_BYTES : end], "little"
        )
        data_bytes = received[start + 2] if start + 2 < len(received) else 0
        if received[start + 1] in READS and data_bytes % 2:
            is_whole = False  # a request, of ours or of another master, can look like a reply with half a register
        yield _Found(start, end, is_whole, received[start], received[start + 1], data_bytes)
        at = end if is_whole else start + 1


def _end(received: bytes, start: int) -> int:
    """Where the reply ends that may begin at `start`; beyond what came while that is not known."""
    function = received[start + 1]
    if function & EXCEPTION_BIT:
        return start + _EXCEPTION_BYTES
    if function == IDENTIFY:
        end = objects_end(received, start + 1)
        return len(received) + 1 if end is None else end + _CRC_BYTES
    if start + 2 >= len(received):
        return len(received) + 1
    return start + _READ_OVERHEAD_BYTES + received[start + 2]


def _start(request: Request, received: bytes) -> int:
    """Where an answer can begin: behind the echo of the request, if the adapter hears itself."""
    at = received.find(request.frame) if request.frame else -1
    return at + len(request.frame) if at >= 0 else 0


def _is_answer_coming(request: Request, received: bytes, start: int) -> bool:
    """Whether there is nothing to search yet: the common case, and the cheap one."""
    so_far = len(received) - start
    if so_far < _EXCEPTION_BYTES:
        return True
    if request.function not in READS:
        return False
    head = bytes((request.unit, request.function, request.data_bytes))
    return so_far < _READ_OVERHEAD_BYTES + request.data_bytes and received.startswith(head, start)


def _difference(request: Request, found: _Found) -> Fault | None:
    """In what a whole frame differs from the answer; None when it is the answer."""
    if found.unit != request.unit:
        return Fault.UNIT
    if found.function == request.function | EXCEPTION_BIT:
        return None
    if found.function != request.function:
        return Fault.FUNCTION
    if request.function in READS and found.data_bytes != request.data_bytes:
        return Fault.LENGTH
    return None


def _answer(request: Request, received: bytes, found: _Found, passed_over: list[Frame]) -> Verdict:
    frame, rest = received[found.start : found.end], received[found.end :]
    if found.function & EXCEPTION_BIT:
        return Verdict(State.EXCEPTION, frame, code=frame[2], rest=rest, passed_over=tuple(passed_over))
    words = struct.unpack_from(f">{request.count}H", frame, 3) if request.function in READS else ()
    return Verdict(State.ANSWER, frame, words, rest=rest, passed_over=tuple(passed_over))


def _is_meant_as_answer(request: Request, loose_bytes: int, fault: Fault | None) -> bool:
    """Whether broken bytes were the answer, by its head or by its length."""
    answer_bytes = _READ_OVERHEAD_BYTES + request.data_bytes if request.function in READS else _IDENTITY_BYTES_MIN
    return loose_bytes >= (_EXCEPTION_BYTES if fault else answer_bytes)


def _fault_of_whole(request: Request, came: bytes) -> Fault | None:
    """In what a frame differs that says wrong things of itself under a right checksum; None when it has none."""
    if crc(came[:-_CRC_BYTES]) != came[-_CRC_BYTES:]:
        return None
    if came[0] != request.unit:
        return Fault.UNIT
    return Fault.FUNCTION if came[1] & ~EXCEPTION_BIT != request.function else Fault.LENGTH


def _refused(fault: Fault, detail: str, passed_over: list[Frame]) -> Verdict:
    return Verdict(State.REFUSED, fault=fault, detail=detail, passed_over=tuple(passed_over))
