"""CRCs that shift to the right, for whichever polynomial: bit by bit, as their documents draw them. Pure."""

from functools import cache


@cache
def _of_bytes(polynomial: int) -> tuple[int, ...]:
    """What each low byte of the register does to it."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def crc16_arc(data: bytes) -> int:
    """CRC-16/ARC: P1 telegrams."""
    return _crc(data, 0xA001, 0)


def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25: SML."""
    return _crc(data, 0x8408, 0xFFFF) ^ 0xFFFF


def crc32(data: bytes) -> int:
    """CRC-32/ISO-HDLC: frames of sensors."""
    return _crc(data, 0xEDB88320, 0xFFFFFFFF) ^ 0xFFFFFFFF


def _crc(data: bytes, polynomial: int, crc: int) -> int:
    table = _of_bytes(polynomial)
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc
