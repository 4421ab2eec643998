"""Makes SML for tests, from chapters 5, 6 and 8 of SML 1.04. Shares nothing with the reader."""

START, END = bytes.fromhex("1b1b1b1b01010101"), bytes.fromhex("1b1b1b1b1a")
NONE, STOP = b"\x01", b"\x00"


def _divided(octets: bytes, register: int) -> int:
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return register


def x25(octets: bytes) -> bytes:
    """The low byte first."""
    return (_divided(octets, 0xFFFF) ^ 0xFFFF).to_bytes(2, "little")


def kermit(octets: bytes) -> bytes:
    """As one maker sends it: the high byte first."""
    return _divided(octets, 0).to_bytes(2, "big")


def _headed(kind: int, length: int) -> bytes:
    nibbles = [length & 0x0F]
    while length := length >> 4:
        nibbles.insert(0, length & 0x0F)
    return bytes(
        (kind if place == 0 else 0) | (0x80 if place < len(nibbles) - 1 else 0) | nibble
        for place, nibble in enumerate(nibbles)
    )


def octets(text: bytes) -> bytes:
    """The length counts the head, which may have two bytes for it."""
    return _headed(0x00, len(text) + 1 if len(text) < 15 else len(text) + 2) + text


def unsigned(number: int, size: int) -> bytes:
    return bytes([0x60 + size + 1]) + number.to_bytes(size, "big")


def signed(number: int, size: int) -> bytes:
    return bytes([0x50 + size + 1]) + number.to_bytes(size, "big", signed=True)


def sequence(*parts: bytes) -> bytes:
    return _headed(0x70, len(parts)) + b"".join(parts)


def entry(code: bytes, unit: int | None, scaler: int | None, value: bytes, status: bytes = NONE) -> bytes:
    return sequence(
        octets(code),
        status,
        NONE,
        NONE if unit is None else unsigned(unit, 1),
        NONE if scaler is None else signed(scaler, 1),
        value,
        NONE,
    )


def message(number: int, kind: int, body: bytes, check=x25) -> bytes:
    parts = octets(b"%04d" % number) + unsigned(0, 1) + unsigned(0, 1) + sequence(unsigned(kind, 2), body)
    checked = bytes([0x76]) + parts
    return checked + b"\x63" + check(checked) + STOP


def list_message(server: bytes, entries: list[bytes], check=x25) -> bytes:
    uptime = sequence(unsigned(1, 1), unsigned(12345, 4))
    body = sequence(
        NONE, octets(server), octets(bytes.fromhex("0100620affff")), uptime, sequence(*entries), NONE, NONE
    )
    return message(2, 0x0701, body, check)


def meter_messages(server: bytes, entries: list[bytes], check=x25) -> bytes:
    """What a meter pushes: open, the list, close."""
    opened = sequence(NONE, NONE, octets(b"\x00\x00\x4f\x2b"), octets(server), NONE, NONE)
    return (
        message(1, 0x0101, opened, check)
        + list_message(server, entries, check)
        + message(3, 0x0201, sequence(NONE), check)
    )


def transported(data: bytes, check=x25) -> bytes:
    """The file on the line: escaped, filled up to whole words, checked."""
    fill = -len(data) % 4
    body = data.replace(START[:4], START[:4] * 2) + bytes(fill)
    whole = START + body + END + bytes([fill])
    return whole + check(whole)
