"""SML files as an electronic meter sends them: open, one list of values, close. Pure.

BSI TR-03109-1 Anlage IV, Smart Message Language 1.04: 6 (encoding), 7 (messages), 8 (transport).
"""

from collections.abc import Iterator

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.reflected_crc import crc16_x25
from firmware_bridge.simulator.register_map import Shown
from firmware_bridge.simulator.telegram import Moment, Telegram

_ESCAPE = b"\x1b" * 4
_BEGIN, _END = b"\x01" * 4, b"\x1a"

# Kinds of values, in the upper half of their first byte.
_TEXT, _SIGNED, _UNSIGNED, _LIST = 0x00, 0x50, 0x60, 0x70
_LENGTH_MAX = 0x0F
_MORE = 0x80
_LEFT_OUT = b"\x01"
_MESSAGE_END = b"\x00"
_OPEN, _LIST_OF_VALUES, _CLOSE = 0x0101, 0x0701, 0x0201

_MAKER = b"SWE"
_SECONDS_INDEX = 1

# DLMS Blue Book: units; and our code, decimals and bytes for each value.
_W, _WH, _A, _V, _HZ = 27, 30, 33, 35, 44
_ENTRIES = (
    (Measurand.ENERGY_IMPORT_WH, (1, 8, 0), _WH, 1, 8),
    (Measurand.ENERGY_EXPORT_WH, (2, 8, 0), _WH, 1, 8),
    (Measurand.ACTIVE_POWER_W, (16, 7, 0), _W, 1, 4),
    (Measurand.ACTIVE_POWER_L1_W, (36, 7, 0), _W, 1, 4),
    (Measurand.ACTIVE_POWER_L2_W, (56, 7, 0), _W, 1, 4),
    (Measurand.ACTIVE_POWER_L3_W, (76, 7, 0), _W, 1, 4),
    (Measurand.VOLTAGE_L1_V, (32, 7, 0), _V, 1, 4),
    (Measurand.VOLTAGE_L2_V, (52, 7, 0), _V, 1, 4),
    (Measurand.VOLTAGE_L3_V, (72, 7, 0), _V, 1, 4),
    (Measurand.CURRENT_L1_A, (31, 7, 0), _A, 2, 4),
    (Measurand.CURRENT_L2_A, (51, 7, 0), _A, 2, 4),
    (Measurand.CURRENT_L3_A, (71, 7, 0), _A, 2, 4),
    (Measurand.FREQUENCY_HZ, (14, 7, 0), _HZ, 2, 4),
)


class SmlForm:
    """The files of one meter."""

    measurands = frozenset(entry[0] for entry in _ENTRIES)
    blanks: frozenset[Measurand] = frozenset()
    has_clock = False
    period_s = 1.0

    def telegram(self, moment: Moment) -> Telegram:
        """The file of one second."""
        # 10 bytes: length, medium electricity, maker, block, number (FNN Herstelleruebergreifende Identifikation).
        server = b"\x0a\x01" + _MAKER + b"\x00" + moment.serial_number.to_bytes(4, "big")
        shown: Shown = {}
        number = moment.at_s & 0xFFFF
        messages = (
            (_OPEN, _list(_LEFT_OUT, _LEFT_OUT, _text(_four(moment.at_s)), _text(server), _LEFT_OUT, _LEFT_OUT)),
            (_LIST_OF_VALUES, self._values(moment, server, shown)),
            (_CLOSE, _list(_LEFT_OUT)),
        )
        body = b"".join(_message(number, place, tag, each) for place, (tag, each) in enumerate(messages))
        return Telegram(transported(body), shown)

    def _values(self, moment: Moment, server: bytes, shown: Shown) -> bytes:
        seconds = _list(_unsigned(_SECONDS_INDEX, 1), _unsigned(moment.at_s & 0xFFFFFFFF, 4))
        entries = _list(_named((129, 129, 199, 130, 3, 255), _text(_MAKER)), *self._entries(moment, shown))
        return _list(_LEFT_OUT, _text(server), _LEFT_OUT, seconds, entries, _LEFT_OUT, _LEFT_OUT)

    def _entries(self, moment: Moment, shown: Shown) -> Iterator[bytes]:
        values = moment.values(moment.at_s)
        for measurand, (c, d, e), unit, decimals, size in _ENTRIES:
            highest = (1 << 8 * size - 1) - 1
            raw = min(max(round(values[measurand] * 10**decimals), -highest), highest)
            shown[measurand] = raw / 10**decimals
            yield _named((1, 0, c, d, e, 255), _signed(raw, size), unit, -decimals)


def transported(body: bytes) -> bytes:
    """A file for the line: escaped, filled up to four bytes, with its CRC."""
    escaped = body.replace(_ESCAPE, _ESCAPE * 2)
    filling = -len(escaped) % 4
    whole = _ESCAPE + _BEGIN + escaped + bytes(filling) + _ESCAPE + _END + bytes((filling,))
    return whole + crc16_x25(whole).to_bytes(2, "little")


def _message(number: int, place: int, tag: int, body: bytes) -> bytes:
    head = _text(number.to_bytes(2, "big") + bytes((place,))) + _unsigned(place, 1) + _unsigned(0, 1)
    # A list of six: the head's three, the body with its tag, the CRC and the end.
    message = _head(_LIST, 6) + head + _list(_unsigned(tag, 4), body)
    return message + _head(_UNSIGNED, 3) + crc16_x25(message).to_bytes(2, "little") + _MESSAGE_END


def _named(code: tuple[int, ...], value: bytes, unit: int | None = None, scaler: int = 0) -> bytes:
    """An entry: code, status, time, unit, scaler, value, signature."""
    units = (_LEFT_OUT, _LEFT_OUT) if unit is None else (_unsigned(unit, 1), _signed(scaler, 1))
    return _list(_text(bytes(code)), _LEFT_OUT, _LEFT_OUT, *units, value, _LEFT_OUT)


def _list(*items: bytes) -> bytes:
    return _head(_LIST, len(items)) + b"".join(items)


def _text(data: bytes) -> bytes:
    head = _head(_TEXT, len(data) + 1)
    # The length counts the bytes that tell it.
    return (head if len(head) == 1 else _head(_TEXT, len(data) + 2)) + data


def _unsigned(value: int, size: int) -> bytes:
    return _head(_UNSIGNED, size + 1) + value.to_bytes(size, "big")


def _signed(value: int, size: int) -> bytes:
    return _head(_SIGNED, size + 1) + value.to_bytes(size, "big", signed=True)


def _head(kind: int, length: int) -> bytes:
    """Kind and length; a long one goes on in a second byte."""
    if length <= _LENGTH_MAX:
        return bytes((kind | length,))
    return bytes((_MORE | kind | length >> 4, length & _LENGTH_MAX))


def _four(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "big")
