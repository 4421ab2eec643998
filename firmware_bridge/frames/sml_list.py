"""What an SML file says: its messages, their own checks, and the list of values in them. Pure.

SML 1.04, chapter 5. Of the messages of a file, open and close frame the one with the values,
GetList.Res; the others are passed over.
"""

from collections.abc import Callable, Iterator

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError, Value
from firmware_bridge.frames.sml_tree import Node, SmlError, TreeReader

# the two bytes of a CRC as they are sent
Crc = Callable[[bytes], bytes]

_MESSAGE = 0x76
_MESSAGE_END = 0x00
_PARTS_BEFORE_CRC = 4
_GET_LIST_RESPONSE = 0x0701
_CODE_BYTES = 6
_SCALER_MAX = 127
# DLMS UA Blue Book, "unit": what meters of electricity, gas and heat send.
_UNITS = {
    8: "°",
    9: "°C",
    13: "m³",
    14: "m³",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    35: "V",
    44: "Hz",
    56: "%",
    255: "",
}


def frames_of(file: bytes, crc: Crc) -> list[Frame]:
    """The frames of the SML file in `file`, whose messages are guarded by `crc`.

    Raises:
        RefusedError: it is no SML, the check of a message fails, or a code stands twice.
    """
    try:
        return [_frame(*response) for response in _responses(TreeReader(file), crc)]
    except SmlError as error:
        raise RefusedError(Refusal.BODY) from error


def _responses(reader: TreeReader, crc: Crc) -> Iterator[tuple[bytes, list[Node]]]:
    """Server id and entries of each list."""
    while not reader.is_over:
        start = reader.at
        first = reader.take(1)[0]
        if first == _MESSAGE_END:
            continue  # what fills a file up to whole words
        if first != _MESSAGE:
            raise SmlError
        body = [reader.node() for _ in range(_PARTS_BEFORE_CRC)][-1]
        checked = reader.data[start : reader.at]
        # sent as a number, whose leading zero may be left out
        if reader.node() != int.from_bytes(crc(checked), "big"):
            raise RefusedError(Refusal.CRC)
        if reader.take(1)[0] != _MESSAGE_END:
            raise SmlError
        match body:
            case [int(kind), [_, bytes(server), _, _, list(entries), _, _]] if kind == _GET_LIST_RESPONSE:
                yield server, entries
            case [int(kind), _] if kind != _GET_LIST_RESPONSE:
                pass
            case _:
                raise SmlError


def _frame(server: bytes, entries: list[Node]) -> Frame:
    values: dict[str, Value] = {}
    for entry in entries:
        match entry:
            case [bytes(name), _, _, int() | None as unit, int() | None as scaler, raw, _] if (
                len(name) == _CODE_BYTES
            ):
                code = "{}-{}:{}.{}.{}*{}".format(*name)
            case _:
                raise SmlError
        if code in values:
            raise RefusedError(Refusal.DUPLICATE)
        value = _value(raw, scaler or 0)
        if value is not None:
            values[code] = value, "" if unit is None else _UNITS.get(unit, f"unit {unit}")
    return Frame(server.hex(), values)


def _value(raw: Node, scaler: int) -> float | str | None:
    """A number times ten to the power of the scaler, or a text; None for times and what is left out."""
    match raw:
        case bool():
            return float(raw)
        case int() if abs(scaler) <= _SCALER_MAX:
            return float(raw * 10**scaler) if scaler >= 0 else raw / 10**-scaler
        case int():
            raise SmlError
        case bytes():
            return _text(raw)
    return None


def _text(octets: bytes) -> str:
    """Letters where they are letters, else digits of the octets."""
    return octets.decode("ascii") if octets.isascii() and octets.decode("ascii").isprintable() else octets.hex()
