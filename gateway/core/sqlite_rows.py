"""A row of an SQLite table as it stands on its pages: numbers of variable length, and columns of values. Pure.

Source: https://www.sqlite.org/fileformat2.html, section 2.
"""

import struct
from typing import Literal, NamedTuple

_VARINT_BYTES_MAX = 9
# Our tables have six columns at most. Rows that claim thousands would cost the square of a page.
_COLUMNS_MAX = 32
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Value = int | float | str | bytes | None
# What a column holds: the classes of SQLite.
Storage = Literal["null", "integer", "real", "text", "blob"]


class DamageError(ValueError):
    """The bytes are not what stands in an undamaged file."""


class Column(NamedTuple):
    """What a column of a row holds, and in how many bytes."""

    storage: Storage
    size: int
    code: int


def columns(row: bytes | memoryview) -> tuple[list[Column], int]:
    """What the columns of a row hold, and where the first begins.

    Raises:
        DamageError: this is no row.
    """
    end, at = varint(row, 0)
    if end > len(row):
        raise DamageError("the head of a row is longer than the row")
    found: list[Column] = []
    while at < end:
        if len(found) == _COLUMNS_MAX:
            raise DamageError(f"a row of more than {_COLUMNS_MAX} columns")
        code, at = varint(row, at)
        found.append(_column(code))
    if at != end:
        raise DamageError("the head of a row ends within a column")
    return found, end


def _column(code: int) -> Column:
    if code == 0:
        return Column("null", 0, code)
    if code in (8, 9):
        return Column("integer", 0, code)
    if code == 7:
        return Column("real", 8, code)
    if code in _INTEGER_BYTES:
        return Column("integer", _INTEGER_BYTES[code], code)
    if code in (10, 11):
        raise DamageError(f"no column has the code {code}")
    return Column("text" if code % 2 else "blob", (code - 12) // 2, code)


def values(row: bytes) -> list[Value]:
    """The values of a row.

    Raises:
        DamageError: this is no row.
    """
    found, at = columns(row)
    if at + sum(column.size for column in found) != len(row):
        raise DamageError("the columns of a row are not as long as the row")
    taken = []
    for column in found:
        taken.append(_value(column, row[at : at + column.size]))
        at += column.size
    return taken


def _value(column: Column, data: bytes) -> Value:
    match column.storage:
        case "null":
            return None
        case "integer":
            return int.from_bytes(data, "big", signed=True) if data else column.code - 8
        case "real":
            return float(struct.unpack(">d", data)[0])
        case "text":
            try:
                return data.decode()
            except UnicodeDecodeError as error:
                raise DamageError(f"a text is none: {error}") from error
        case "blob":
            return data


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number at that place, as a signed one of 64 bits, and where it ends.

    Raises:
        DamageError: the bytes end before the number does.
    """
    number = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES_MAX], 1):
        if index == _VARINT_BYTES_MAX:
            number = number << 8 | byte
            return number - (1 << 64 if number >> 63 else 0), at + index
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + index
    raise DamageError("a number is cut short")
