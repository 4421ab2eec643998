"""Makes frames of sensors for tests, from the README of the frames. Shares nothing with the reader."""

import json


def stuffed(data: bytes) -> bytes:
    """Consistent Overhead Byte Stuffing, Cheshire and Baker 1999, as their figure draws it."""
    out, block = bytearray(), bytearray()
    for octet in data:
        if octet:
            block.append(octet)
        if not octet or len(block) == 254:
            out += bytes([len(block) + 1]) + block
            block.clear()
            if octet:
                continue
    return bytes(out + bytes([len(block) + 1]) + block)


def crc32(data: bytes) -> int:
    register = 0xFFFFFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def framed(body: bytes) -> bytes:
    return stuffed(body + crc32(body).to_bytes(4, "little")) + b"\0"


def json_frame(**values: object) -> bytes:
    return framed(json.dumps(values, separators=(",", ":")).encode())
