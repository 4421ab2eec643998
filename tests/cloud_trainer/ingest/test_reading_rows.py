import struct
from collections.abc import Iterator
from itertools import starmap

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.columns import I64, Columns, read_columns
from cloud_trainer.ingest.reading_rows import COPY_READINGS, copy_bytes, reading_rows
from firmware_bridge.measurand import Measurand
from gateway.contract.records import ReadingsBlock
from tests.sim.cloud_records import POLL_US, START_US, block

FIELDS = ">q", ">q", ">i", ">i", ">i", ">h", ">d", ">d", ">d"
PG_EPOCH_US = 946_684_800_000_000


def numbered(sequence: int, one: ReadingsBlock) -> tuple[int, ReadingsBlock, Columns, I64]:
    columns = read_columns(one)
    return sequence, one, columns, np.arange(len(columns.count)) + 10 * sequence


def copied(data: bytes) -> Iterator[list[float | None]]:
    """The rows in `data`, read as the documentation of PostgreSQL has them, one field at a time."""
    assert data[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at = 19
    while (fields := struct.unpack_from(">h", data, at)[0]) != -1:
        at, row = at + 2, []
        for form in FIELDS[:fields]:
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            row.append(None if length == -1 else struct.unpack_from(form, data, at)[0])
            assert length in (-1, struct.calcsize(form))
            at += max(length, 0)
        yield row
    assert at + 2 == len(data), "nothing follows the end"


VALUES = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 1)), max_size=3)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4))
def test_the_bytes_of_a_copy_say_what_the_blocks_say(samples: list[tuple[list[float], list[float]]]) -> None:
    blocks = [
        block(START_US + i * 5 * POLL_US, {("a", Measurand.ACTIVE_POWER_W): a, ("b", Measurand.ACTIVE_POWER_W): b})
        for i, (a, b) in enumerate(samples)
    ]
    expected = []
    for sequence, one in enumerate(blocks, start=1):
        columns = read_columns(one)
        for place in range(2):
            values = [columns.mean[place], columns.minimum[place], columns.maximum[place]]
            count, quality = int(columns.count[place]), int(columns.quality[place])
            row = [sequence, one.start_us - PG_EPOCH_US, 7, 10 * sequence + place, count, quality]
            expected.append([*row, *(values if count else [None] * 3)])
    rows = reading_rows(list(starmap(numbered, enumerate(blocks, start=1))))
    assert sorted(copied(copy_bytes(rows, 7)), key=lambda row: row[3] or 0) == expected


def test_the_fields_stand_in_the_order_of_the_statement() -> None:
    named = COPY_READINGS[COPY_READINGS.index("(") + 1 : COPY_READINGS.index(")")]
    assert named.split(", ") == [
        *("sequence", "period_start", "generation_id", "series_id", "count", "quality"),
        *("mean", "minimum", "maximum"),
    ]


def test_a_block_of_no_series_has_no_rows() -> None:
    rows = reading_rows([numbered(1, block(START_US, {}))])
    assert list(copied(copy_bytes(rows, 7))) == []
