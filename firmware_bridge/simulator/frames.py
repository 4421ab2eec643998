"""Modbus TCP frames as a server sees them: bytes in, requests out, replies back. Pure.

Written from the Modbus Messaging Implementation Guide V1.0b and Application Protocol V1.1b3, apart
from the gateway's own decoder, so that the two cannot share a bug.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

# Guide 3.1.3: header of 7 bytes; the length counts the unit id and the PDU of at most 253 bytes.
HEADER_BYTES = 7
LENGTH_MIN, LENGTH_MAX = 2, 254
FRAME_BYTES_MAX = 6 + LENGTH_MAX
# Application Protocol 6.3 and 6.4: what fits into one reply.
REGISTERS_MAX = 125

READ_HOLDING, READ_INPUT = 3, 4
_EXCEPTION_BIT = 0x80

_HEADER = struct.Struct(">HHHB")
_READ = struct.Struct(">BHH")

assert FRAME_BYTES_MAX == 260
assert _HEADER.size == HEADER_BYTES


class ModbusException(IntEnum):
    """Why a request is refused; Application Protocol 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    TARGET_FAILED_TO_RESPOND = 0x0B


class NotModbusError(Exception):
    """The stream holds something else; nothing after it can be understood."""


class Request(NamedTuple):
    """One frame from a client."""

    transaction: int
    unit: int
    pdu: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """A request for registers."""

    function: int
    address: int
    count: int


def take_request(received: bytearray) -> Request | None:
    """Take the first whole frame off `received`; None while it is not all there.

    Raises:
        NotModbusError: the header is not one of Modbus TCP; close the connection.
    """
    if len(received) < HEADER_BYTES:
        return None
    transaction, protocol, length, unit = _HEADER.unpack_from(received)
    if protocol != 0 or not LENGTH_MIN <= length <= LENGTH_MAX:
        raise NotModbusError(f"protocol={protocol} length={length}")
    end = 6 + length
    if len(received) < end:
        return None
    pdu = bytes(received[HEADER_BYTES:end])
    del received[:end]
    return Request(transaction, unit, pdu)


def decode_read(pdu: bytes) -> Read | ModbusException:
    """The registers a client wants, or why it gets none."""
    if pdu[0] not in (READ_HOLDING, READ_INPUT):
        return ModbusException.ILLEGAL_FUNCTION
    if len(pdu) != _READ.size:
        return ModbusException.ILLEGAL_VALUE
    read = Read(*_READ.unpack(pdu))
    if not 1 <= read.count <= REGISTERS_MAX:
        return ModbusException.ILLEGAL_VALUE
    return read


def words_pdu(function: int, words: bytes) -> bytes:
    """The answer to a read that carries `words`, two bytes a register."""
    return bytes((function, len(words))) + words


def exception_pdu(function: int, why: int) -> bytes:
    """The answer that refuses."""
    return bytes((function | _EXCEPTION_BIT, why))


def encode_reply(request: Request, pdu: bytes) -> bytes:
    """The frame that carries an answer back."""
    return _HEADER.pack(request.transaction, 0, len(pdu) + 1, request.unit) + pdu
