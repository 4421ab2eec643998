"""Modbus TCP: frames, what the bytes on a connection mean, and when to keep it. Pure.

Every frame carries the number of its request and its length, so a late answer is told by its number
and what cannot become the answer is known by its head, at once.
Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3; Modbus Application Protocol V1.1b3.
"""

import struct

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

# Frames follow each other without a gap: the beginning of a late one must be kept until its end came.
IS_STREAM = True

# Transaction, protocol (always 0), length of what follows, unit; then the function.
_HEAD = struct.Struct(">HHHBB")
_READ = struct.Struct(">HHHBBHH")
_BYTES_BEFORE_LENGTH_COUNTS = 6
# Unit, function and one byte at least; unit and a PDU of 253 bytes at most.
_LENGTH_MIN, _LENGTH_MAX = 3, 254
# Function, 0x0E, code, conformity, more, next, number of objects, after the unit.
_IDENTITY_LENGTH_MIN = 8
# Head and PDU of 16 late answers: who sends so much without the answer babbles.
RECEIVED_BYTES_MAX = 16 * (_BYTES_BEFORE_LENGTH_COUNTS + _LENGTH_MAX)

# A connection on which so many reads in a row found no byte, of meters that should answer, is half open.
_MUTE_READS_MAX = 2


def read_request(transaction: int, unit: int, function: int, address: int, count: int) -> Request:
    """The request for `count` registers from `address`."""
    frame = _READ.pack(transaction, 0, _READ.size - _BYTES_BEFORE_LENGTH_COUNTS, unit, function, address, count)
    return Request(unit, function, count, frame, transaction)


def asked_by(frame: bytes) -> Request:
    """What a request of ours asks, from its bytes."""
    transaction, _, _, unit, function = _HEAD.unpack_from(frame)
    count = int.from_bytes(frame[10:12], "big") if function in READS else 0
    return Request(unit, function, count, frame, transaction)


def judge(request: Request, received: bytes, *, is_idle: bool = False) -> Verdict:  # noqa: ARG001  as rtu.judge
    """What the bytes received since the request left mean; idleness tells nothing on a network.

    Whole answers to other transactions are passed over. Transaction 0 counts as ours until the peer is
    known to echo the number, because some meters never fill it in.
    """
    passed_over: list[Frame] = []
    at = 0
    while len(received) - at >= _HEAD.size:
        transaction, protocol, length, unit, function = _HEAD.unpack_from(received, at)
        if wrong := _not_modbus(protocol, length):
            return _refused(*wrong, passed_over)
        end = at + _BYTES_BEFORE_LENGTH_COUNTS + length
        is_ours = transaction == request.transaction or not (transaction or request.is_transaction_echoed)
        if is_ours:
            if wrong := _difference(request, unit, function, length, received[at + _HEAD.size : end]):
                return _refused(*wrong, passed_over)
            return _answer(request, received, at, end, passed_over)
        if end > len(received):
            break
        passed_over.append(_frame(received, at, Fault.OTHER_ANSWER))
        at = end
    if len(received) > RECEIVED_BYTES_MAX:
        return _refused(Fault.PROTOCOL, f"babble of {len(received)} bytes", passed_over)
    return Verdict(State.WAITING, passed_over=tuple(passed_over)) if passed_over else WAITING


def take_frames(received: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames in what came when nobody asked, and the beginning of the next one.

    Nonsense is forgotten: if more of it follows, the next read meets it.
    """
    frames: list[Frame] = []
    at = 0
    while len(received) - at >= _HEAD.size:
        _, protocol, length, _, _ = _HEAD.unpack_from(received, at)
        if _not_modbus(protocol, length):
            return frames, b""
        end = at + _BYTES_BEFORE_LENGTH_COUNTS + length
        if end > len(received):
            break
        frames.append(_frame(received, at, Fault.OTHER_ANSWER))
        at = end
    return frames, received[at:]


class Peer:
    """What the far end of a connection has shown, and whether the connection outlives a lost answer.

    One silent meter behind a gateway must not cost the others their connection; but where late answers
    cannot be told, or nobody is there any more, it must end.
    """

    def __init__(self, *, is_numbered: bool) -> None:
        """`is_numbered`: Modbus TCP; else it is a serial line behind a converter, where late_reply.py guards."""
        self._is_numbered = is_numbered
        # None until it has answered once.
        self._is_echoing: bool | None = None
        self._answering: set[int] = set()
        self._mute_reads = 0

    @property
    def is_echoing(self) -> bool:
        """Whether it has echoed the number of every transaction so far, and at least one."""
        return self._is_echoing is True

    def connected(self) -> None:
        """A new connection: who answers on it is not known, how the peer numbers is."""
        self._answering.clear()
        self._mute_reads = 0

    def answered(self, request: Request, frame: bytes) -> None:
        """This frame answered the request, with the number of it or without."""
        self._is_echoing = frame[:2] == request.frame[:2] and self._is_echoing is not False
        self._answering.add(request.unit)
        self._mute_reads = 0

    def is_kept_after(self, unit: int, *, is_mute: bool) -> bool:
        """Whether to keep the connection after a read of `unit` that was not answered, or not even a byte came.

        A meter that has not answered on this connection, where others have, is dead and proves nothing.
        """
        if not is_mute:
            self._mute_reads = 0
        elif unit in self._answering or not self._answering:
            self._mute_reads += 1
        self._answering.discard(unit)
        tells_late_answers = self.is_echoing or not self._is_numbered
        return tells_late_answers and self._mute_reads < _MUTE_READS_MAX


def _not_modbus(protocol: int, length: int) -> tuple[Fault, str] | None:
    if protocol:
        return Fault.PROTOCOL, f"protocol {protocol}"
    if not _LENGTH_MIN <= length <= _LENGTH_MAX:
        return Fault.LENGTH, f"length {length}"
    return None


def _difference(request: Request, unit: int, function: int, length: int, rest: bytes) -> tuple[Fault, str] | None:
    """In what a frame of our transaction differs from the answer, by its head and the `rest` that has come."""
    if unit != request.unit:
        return Fault.UNIT, f"unit {unit}"
    if function == request.function | EXCEPTION_BIT:
        return None if length == _LENGTH_MIN else (Fault.LENGTH, f"length {length} of an exception")
    if function != request.function:
        return Fault.FUNCTION, f"function {function}"
    if function not in READS:
        return _identity_difference(length, rest)
    if length != _LENGTH_MIN + request.data_bytes:
        return Fault.LENGTH, f"length {length} for {request.data_bytes} bytes of registers"
    if rest and rest[0] != request.data_bytes:
        return Fault.LENGTH, f"byte count {rest[0]} for {request.data_bytes}"
    return None


def _identity_difference(length: int, rest: bytes) -> tuple[Fault, str] | None:
    """The objects must fill the frame exactly; known when it is whole."""
    if length >= _IDENTITY_LENGTH_MIN:
        if len(rest) < length - 2:
            return None
        if objects_end(bytes([IDENTIFY]) + rest, 0) == length - 1:
            return None
    return Fault.LENGTH, f"length {length} of an identification"


def _answer(request: Request, received: bytes, at: int, end: int, passed_over: list[Frame]) -> Verdict:
    passed = tuple(passed_over)
    if end > len(received):
        return Verdict(State.WAITING, passed_over=passed)
    frame, rest = received[at:end], received[end:]
    if frame[7] & EXCEPTION_BIT:
        return Verdict(State.EXCEPTION, frame, code=frame[8], rest=rest, passed_over=passed)
    words = struct.unpack_from(f">{request.count}H", frame, 9) if request.function in READS else ()
    return Verdict(State.ANSWER, frame, words, rest=rest, passed_over=passed)


def _frame(received: bytes, at: int, why: Fault) -> Frame:
    _, _, _, unit, function = _HEAD.unpack_from(received, at)
    return Frame(unit, function, received[at + _HEAD.size] // 2 if function in READS else 0, why)


def _refused(fault: Fault, detail: str, passed_over: list[Frame]) -> Verdict:
    return Verdict(State.REFUSED, fault=fault, detail=detail, passed_over=tuple(passed_over))
