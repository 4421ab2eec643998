import re

from cloud_trainer.ingest.entry import Entry, read_entries
from cloud_trainer.ingest.migrate import schema_files
from cloud_trainer.ingest.tables import (
    INSERT_BLOCKS,
    INSERT_RECORDS,
    block_columns,
    other_inserts,
    record_columns,
)
from gateway.contract.records import RawBlock, ReadingsBlock
from tests.sim.cloud_records import START_US, batch, one_of_each, power

RAW = RawBlock(START_US, "request", [0, 5], ["grid"], [b"\1"], [[1, None]], [b"\0\2"])


def entries(*records: object) -> list[Entry]:
    return read_entries(batch(list(records)))  # type: ignore[arg-type]


def test_every_kind_that_is_no_reading_has_a_table_of_its_own() -> None:
    statements = other_inserts(entries(*one_of_each(), RAW))
    tables = {found[1] for statement in statements if (found := re.search(r"INSERT INTO (\w+)", statement))}
    assert tables == {"forecast", "anomaly", "decision", "model_report", "status", "raw_window"}
    for table in tables:
        assert any(f"CREATE TABLE {table} (" in text for text in schema_files().values())


def test_each_row_fills_the_placeholders_of_its_statement() -> None:
    gateway_and_generation, generation = 2, 1
    for statement, rows in other_inserts(entries(*one_of_each(), RAW)).items():
        assert {len(row) + gateway_and_generation for row in rows} == {statement.count("%b")}
    assert len(record_columns([])) + gateway_and_generation == INSERT_RECORDS.count("%b")
    assert len(block_columns([])) + generation == INSERT_BLOCKS.count("%b")


def test_bytes_are_kept_where_nothing_else_can_be() -> None:
    good, bad = power(START_US, [1.0]), b"?"
    sequences, kinds, _, digests, bodies = record_columns(entries(good, bad))
    assert (sequences, kinds, bodies) == ([1, 2], ["readings", "undecodable"], [None, b"?"])
    assert len(set(digests)) == 2


def test_a_block_stands_once_whatever_the_number_of_its_series() -> None:
    found = entries(power(START_US, [1.0], [2.0]), power(START_US + 300_000_000, [3.0]))
    blocks = [(entry.sequence, entry.record) for entry in found if isinstance(entry.record, ReadingsBlock)]
    sequences, starts, periods, firsts, lasts = block_columns(blocks)
    assert (sequences, periods) == ([1, 2], [300.0, 300.0])
    assert starts == firsts == lasts == [START_US, START_US + 300_000_000]


def test_a_raw_block_is_its_bytes_and_how_far_they_reach() -> None:
    (rows,) = other_inserts(entries(RAW)).values()
    ((_, _, start_us, end_us, reason, series, ticks, body),) = rows
    assert (start_us, end_us, reason, series, ticks) == (START_US, START_US + 5, "request", 1, 2)
    assert body == entries(RAW)[0].body


def test_no_entries_are_empty_columns() -> None:
    assert record_columns([]) == block_columns([]) == ([],) * 5
    assert other_inserts([]) == {}
