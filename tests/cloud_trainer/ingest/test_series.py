import asyncio

import numpy as np
import psycopg
import pytest

from cloud_trainer.ingest import series
from cloud_trainer.ingest.columns import Layout
from cloud_trainer.ingest.db import Connection, Known, store_batch
from cloud_trainer.ingest.series import SeriesNumbers
from gateway.contract.records import RecordError
from tests.sim.cloud_records import GATEWAY, START_US, batch, power

pytestmark = [pytest.mark.slow, pytest.mark.pg, pytest.mark.usefixtures("gateways")]


def layout(key: bytes, *meters: str) -> Layout:
    names = tuple((meter, "voltage_v") for meter in meters)
    return Layout(key, names, np.ones(len(names)))


async def find(connection: Connection, numbers: SeriesNumbers, *layouts: Layout) -> dict[bytes, list[int]]:
    async with connection.transaction():
        found = await numbers.find(connection, GATEWAY, 1, layouts, last_sequence=1)
    numbers.remember(1, found, last_sequence=1)
    return {key: column.tolist() for key, column in found.items()}


async def test_a_series_keeps_its_number_whatever_stands_beside_it(connection: Connection) -> None:
    first = await find(connection, SeriesNumbers(), layout(b"1", "a", "b"))
    other = await find(connection, SeriesNumbers(), layout(b"2", "c", "b"), layout(b"3"), layout(b"1", "a", "b"))
    assert other[b"1"] == first[b"1"]
    assert other[b"2"][1] == first[b"1"][1]
    assert other[b"3"] == []
    assert len({*first[b"1"], *other[b"2"]}) == 3


async def test_what_is_known_is_not_asked_again(connection: Connection) -> None:
    numbers = SeriesNumbers()
    found = await find(connection, numbers, layout(b"1", "a"))
    await connection.execute("DROP TABLE series CASCADE")
    await connection.commit()
    assert await find(connection, numbers, layout(b"1", "a")) == found


async def test_what_a_database_knew_before_it_was_put_back_from_a_backup_is_not_relied_on(
    connection: Connection,
) -> None:
    """It counts generations and series again from there, and the process that asks it was not started anew."""
    known = Known()
    for sequence in (1, 2):
        await store_batch(connection, batch([power(START_US, [1.0])], first=sequence), known=known)
    for generation in ("1" * 32, "2" * 32):
        await connection.execute("TRUNCATE record, block, reading_row, rollup_15min, generation RESTART IDENTITY")
        await connection.execute("TRUNCATE series")
        await connection.commit()
        await store_batch(connection, batch([power(START_US, [1.0])], generation=generation), known=known)
        row = await (await connection.execute("SELECT count(*) FROM reading")).fetchone()
        await connection.commit()
        assert row == (1,), "acknowledged, and to be seen"


async def test_what_was_not_committed_is_not_known(connection: Connection) -> None:
    numbers = SeriesNumbers()
    async with connection.transaction():
        await numbers.find(connection, GATEWAY, 1, [layout(b"1", "a")], last_sequence=1)
        raise psycopg.Rollback
    await find(connection, numbers, layout(b"1", "a"))
    row = await (await connection.execute("SELECT count(*) FROM series")).fetchone()
    assert row == (1,)


async def test_processes_that_meet_a_series_together_agree_on_its_number(dsn: str) -> None:
    async def one(names: str) -> dict[bytes, list[int]]:
        async with await psycopg.AsyncConnection.connect(dsn) as own:
            return await find(own, SeriesNumbers(), *(layout(name.encode(), name) for name in names))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(names)) for names in ("abcdef", "fedcba", "cafe", "dbf") * 2]
    numbers: dict[bytes, set[int]] = {}
    for task in tasks:
        for name, found in task.result().items():
            numbers.setdefault(name, set()).update(found)
    assert [len(found) for found in numbers.values()] == [1] * 6


async def test_a_gateway_that_renames_its_meters_without_end_is_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "SERIES_PER_GATEWAY_MAX", 3)
    known = Known()
    await store_batch(connection, batch([power(START_US, [1.0], [2.0])]), known=known)
    with pytest.raises(RecordError, match="more than 3 series"):
        async with connection.transaction():
            await SeriesNumbers().find(connection, GATEWAY, 1, [layout(b"1", "a", "b")], last_sequence=1)


@pytest.mark.parametrize("limit", ["LAYOUTS_KNOWN_MAX", "NUMBERS_KNOWN_MAX"])
async def test_few_layouts_are_remembered(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(series, limit, 2)
    numbers = SeriesNumbers()
    for name in "abc":
        await find(connection, numbers, layout(name.encode(), name))
    await connection.execute("DROP TABLE series CASCADE")
    await connection.commit()
    await find(connection, numbers, layout(b"b", "b"), layout(b"c", "c"))
    with pytest.raises(psycopg.errors.UndefinedTable):
        await find(connection, numbers, layout(b"a", "a"))


async def test_a_gateway_that_was_erased_and_comes_again_gets_new_numbers(connection: Connection) -> None:
    known = Known()
    await store_batch(connection, batch([power(START_US, [1.0])]), known=known)
    for table in ("reading_row", "block", "rollup_15min", "series", "record", "generation"):
        await connection.execute(f"DELETE FROM {table}".encode())
    await connection.commit()
    await store_batch(connection, batch([power(START_US, [2.0])]), known=known)
    row = await (await connection.execute("SELECT meter, mean FROM reading")).fetchone()
    assert row == ("grid", 2.0), "a number that the process remembered would lead nowhere"
