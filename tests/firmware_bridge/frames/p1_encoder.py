"""Makes P1 telegrams for tests, from the DSMR P1 standard 5.0.2, chapter 6. Shares nothing with the reader."""


def _divided(octets: bytes, register: int, polynomial: int) -> int:
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (polynomial if register & 1 else 0)
    return register


def arc(octets: bytes) -> int:
    return _divided(octets, 0, 0xA001)


def x25(octets: bytes) -> int:
    return _divided(octets, 0xFFFF, 0x8408) ^ 0xFFFF


def unchecked(*lines: str, name: str = "/XMX5SWE000000001") -> bytes:
    """As meters before DSMR 4 send it."""
    return "\r\n".join([name, "", *lines, "!"]).encode() + b"\r\n"


def telegram(*lines: str, name: str = "/XMX5SWE000000001", check=arc) -> bytes:
    """With its CRC."""
    body = unchecked(*lines, name=name).removesuffix(b"\r\n")
    return body + f"{check(body):04X}\r\n".encode()
