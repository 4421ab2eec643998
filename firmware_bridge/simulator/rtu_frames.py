"""Modbus RTU frames as a unit on the line sees them. Pure.

Written from "Modbus over Serial Line" V1.02 (2.5.1 and appendix B), apart from the gateway's own
framing, so that the two cannot share a bug: this CRC goes bit by bit, as the document draws it.
"""

from collections.abc import Iterable

from firmware_bridge.simulator.frames import Request

# V1.02, 2.5.1: unit, PDU of at most 253 bytes, CRC of two.
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 4, 256
# V1.02, 2.2: a request to all units, which none answers.
BROADCAST_UNIT = 0

_POLYNOMIAL = 0xA001
_START = 0xFFFF


def _shifted(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc


# What the low byte of the register does to it; appendix B, one byte at a time.
_OF_BYTE = tuple(_shifted(byte) for byte in range(256))


def crc16(data: Iterable[int], crc: int = _START) -> int:
    """The CRC of `data`, going on from `crc`; it is sent low byte first."""
    for byte in data:
        crc = crc >> 8 ^ _OF_BYTE[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """The frame that carries `pdu` from or to `unit`."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def read_rtu(frame: bytes) -> Request | None:
    """The request between two silences; None for what a unit ignores."""
    if not FRAME_BYTES_MIN <= len(frame) <= FRAME_BYTES_MAX or crc16(frame):
        return None  # a CRC run over a frame and its CRC leaves nothing
    return Request(0, frame[0], bytes(frame[1:-2]))


def take_rtu(received: bytearray) -> Request | None:
    """Take the first whole frame off a stream that has no silences; None while there is none.

    A frame is the shortest beginning with a right CRC. What holds none within the longest frame is
    thrown away; the caller throws away what a pause leaves behind.
    """
    crc = _START
    for at, byte in enumerate(received[:FRAME_BYTES_MAX], 1):
        crc = crc16((byte,), crc)
        if not crc and at >= FRAME_BYTES_MIN:
            request = Request(0, received[0], bytes(received[1 : at - 2]))
            del received[:at]
            return request
    if len(received) >= FRAME_BYTES_MAX:
        received.clear()
    return None
