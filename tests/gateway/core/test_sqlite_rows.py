"""Rows that are none; that real ones are read as SQLite wrote them is tested with their pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sqlite_rows import DamageError, columns, values, varint


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 8])
def test_a_number_cut_short_is_told(data: bytes):
    with pytest.raises(DamageError):
        varint(data, 0)


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"\x05",  # a head longer than the row
        b"\x02\x0a",  # a code that no column has
        b"\x02\x01",  # a column that is not there
        b"\x02\x08\x00",  # a byte too many
        b"\x02\x81\x00",  # a head that ends within a column
        b"\x02\x0f\xff",  # a text that is none
        bytes([41]) + bytes(40),  # more columns than any table of ours has
    ],
)
def test_what_is_no_row_is_told(row: bytes):
    with pytest.raises(DamageError):
        values(row)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_row_or_none(row: bytes):
    try:
        found, at = columns(row)
        taken = values(row)
    except DamageError:
        return
    assert len(taken) == len(found)
    assert at <= len(row)
