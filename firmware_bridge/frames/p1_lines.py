"""What the lines of a P1 telegram say: IEC 62056-21 data lines with OBIS codes. Pure.

dsmr-parser reads them too. It cannot be installed from wheels alone (Tailer 0.4.1 has none), and brings
a DLMS stack for meters that encrypt; the grammar itself is a few lines.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError, Value
from firmware_bridge.reading import US_PER_S, UtcUs

# A code and its groups in parentheses. DSMR 2 and 3 put the last group of a gas meter on a line of its own.
_LINE = re.compile(r"([0-9]{1,3}-[0-9]{1,3}:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})?((?:\([^()]*\))+)")
_GROUP = re.compile(r"\(([^()]*)\)")
# 5.0.2, 6.4: fixed point; 15 digits are what a double holds
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,6})?")
# "kvarh" is the longest of the standards
_UNIT_CHARACTERS_MAX = 16
_CLOCK = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([SW])")

_CLOCK_CODE = "0-0:1.0.0"
# equipment identifier; the same in Sweden and Hungary; logical device name in Luxembourg
_SENDER_CODES = ("0-0:96.1.1", "0-0:96.1.0", "0-0:42.0.0")
# DSMR 2.2+ 5.3: time, status, count, number of values, code, unit, value
_OLD_GAS = re.compile(r"0-\d:24\.3\.0")
_OLD_GAS_GROUPS = 7
# Channels of other meters behind this one, and the kind of meter that says it measures gas (EN 13757-3).
_CHANNELS = range(1, 5)
_GAS = "3"
# Central European time, in all countries with a P1 port that writes S and W.
_ZONES = {"W": timezone(timedelta(hours=1)), "S": timezone(timedelta(hours=2))}


def frame_of(lines: list[bytes]) -> Frame:
    """The frame of the telegram with these lines, the first with its "/", without the last.

    `0-n:24.2.1` stands for the gas meter, on whichever channel it is; there is none when there are two.
    A value is a number where the meter writes a unit, else the text as written.

    Raises:
        RefusedError: a line is no data line, or a code stands twice.
    """
    values: dict[str, Value] = {}
    for code, groups in _entries(lines[1:]):
        key, value = _value(code, groups)
        if key in values:
            raise RefusedError(Refusal.DUPLICATE)
        values[key] = value
    sender = next((_plain(values[code][0]) for code in _SENDER_CODES if code in values), lines[0][1:].decode())
    return Frame(sender, values | _gas(values), _instant_us(values.get(_CLOCK_CODE, ("", ""))[0]))


def _entries(lines: list[bytes]) -> Iterator[tuple[str, list[str]]]:
    """Codes and their groups, split lines joined."""
    code, groups = "", list[str]()
    for line in filter(None, lines):
        found = _LINE.fullmatch(_text(line))
        if found is None or not (found[1] or code):
            raise RefusedError(Refusal.BODY)
        if found[1]:
            if code:
                yield code, groups
            code, groups = found[1], []
        groups += _GROUP.findall(found[2])
    if code:
        yield code, groups


def _text(line: bytes) -> str:
    text = line.decode("ascii", "replace")
    if not text.isascii() or not text.isprintable():
        raise RefusedError(Refusal.BODY)
    return text


def _value(code: str, groups: list[str]) -> tuple[str, Value]:
    """The last group is the value; before it stand times and counts."""
    if _OLD_GAS.fullmatch(code) and len(groups) == _OLD_GAS_GROUPS:
        return groups[4], _with_unit(groups[6], groups[5])
    number, _, unit = groups[-1].partition("*")
    return code, _with_unit(number, unit)


def _with_unit(number: str, unit: str) -> Value:
    if 0 < len(unit) <= _UNIT_CHARACTERS_MAX and _NUMBER.fullmatch(number):
        return float(number), unit
    return (f"{number}*{unit}" if unit else number), ""


def _plain(text: float | str) -> str:
    """An identifier, which is sent as the hexadecimal digits of its characters."""
    try:
        plain = bytes.fromhex(str(text)).decode("ascii")
    except ValueError:
        return str(text)
    return plain if plain.isprintable() else str(text)


def _gas(values: dict[str, Value]) -> dict[str, Value]:
    """What the gas meter says, under names that do not depend on its channel."""
    channels = [n for n in _CHANNELS if str(values.get(f"0-{n}:24.1.0", ("", ""))[0]).lstrip("0") == _GAS]
    if len(channels) != 1:
        return {}
    channel = f"0-{channels[0]}:"
    return {code.replace(channel, "0-n:"): value for code, value in values.items() if code.startswith(channel)}


def _instant_us(text: float | str) -> UtcUs | None:
    """None for what cannot be a time; a wrong one is as good as a right one here."""
    found = _CLOCK.fullmatch(str(text))
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(digits) for digits in found.groups()[:6])
    try:
        at = datetime(2000 + year, month, day, hour, minute, second, tzinfo=_ZONES[found[7]])
    except ValueError:
        return None
    return UtcUs(int(at.timestamp()) * US_PER_S)
