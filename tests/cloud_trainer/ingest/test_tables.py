import re

from cloud_trainer.ingest.entry import read_entries
from cloud_trainer.ingest.migrate import schema_files
from cloud_trainer.ingest.tables import (
    INSERT_READINGS,
    INSERT_RECORDS,
    other_inserts,
    reading_columns,
    record_columns,
)
from tests.sim.cloud_records import START_US, batch, one_of_each, power


def test_every_kind_that_is_no_reading_has_a_table_of_its_own() -> None:
    statements = other_inserts(read_entries(batch(one_of_each())))
    tables = {found[1] for statement in statements if (found := re.search(r"INSERT INTO (\w+)", statement))}
    assert tables == {"forecast", "anomaly", "decision", "model_report", "status"}
    for table in tables:
        assert f"CREATE TABLE {table} (" in schema_files()[1]


def test_each_row_fills_the_placeholders_of_its_statement() -> None:
    gateway_and_generation = 2
    for statement, rows in other_inserts(read_entries(batch(one_of_each()))).items():
        assert {len(row) + gateway_and_generation for row in rows} == {statement.count("%b")}
    entries = read_entries(batch([power(START_US, [1.0], [2.0])]))
    assert len(record_columns(entries)) + gateway_and_generation == INSERT_RECORDS.count("%b")
    assert len(reading_columns(entries)) + gateway_and_generation == INSERT_READINGS.count("%b")


def test_series_name_their_block_by_its_number() -> None:
    entries = read_entries(batch([power(START_US, [1.0], [2.0]), power(START_US + 300_000_000, [3.0])]))
    columns = reading_columns(entries)
    sequences, numbers, meters, means = columns[0], columns[5], columns[6], columns[8]
    assert (sequences, numbers) == ([1, 2], [1, 1, 2])
    assert (meters, means) == (["grid", "solar", "grid"], [1.0, 2.0, 3.0])


def test_no_entries_are_empty_columns() -> None:
    assert record_columns([]) == ([],) * 4
    assert reading_columns([]) == ([],) * 13
    assert other_inserts([]) == {}
