import asyncio
import logging
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from cloud_trainer.ingest import partitions
from cloud_trainer.ingest.db import Connection, Known, store_batch
from cloud_trainer.ingest.partitions import Months, months_of
from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import US_PER_S
from tests.sim.cloud_records import batch, power

SERVERS = pytest.mark.parametrize("server", ["postgres", "debian"], indirect=True)


def us(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * US_PER_S


def test_months_are_those_of_utc() -> None:
    january = us(2024, 1)
    assert months_of([january - 1, january, us(2024, 2) - 1]) == {53 * 12 + 11, 54 * 12}
    assert months_of([0, us(2199, 12, 31, 23)]) == {0, 229 * 12 + 11}
    assert months_of([]) == set()


async def names(connection: Connection, parent: str = "reading_row") -> set[str]:
    rows = await connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (parent,)
    )
    found = {name for (name,) in await rows.fetchall()}
    await connection.commit()
    return found


async def prepare(connection: Connection, *instants_us: int, months: Months | None = None) -> None:
    await (months or Months()).prepare(connection, instants_us)


async def where(connection: Connection, table: str = "reading_row") -> dict[str, int]:
    rows = await connection.execute(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1".encode())
    found = dict(await rows.fetchall())
    await connection.commit()
    return found


def ahead() -> set[str]:
    """This month and the next three."""
    month = datetime.fromtimestamp(SystemClock().utc_us() / US_PER_S, UTC).replace(day=1)
    found = set()
    for _ in range(4):
        found.add(f"reading_row_{month:%Y_%m}")
        month = (month + timedelta(days=31)).replace(day=1)
    return found


@pytest.mark.slow
@pytest.mark.pg
class TestOnTheDatabase:
    @SERVERS
    async def test_a_new_database_is_some_months_ahead(self, connection: Connection) -> None:
        assert await names(connection) == ahead() | {"reading_row_default"}

    @SERVERS
    async def test_a_month_is_made_when_it_is_needed_and_once(self, connection: Connection) -> None:
        months = Months()
        for _ in range(2):
            await prepare(connection, us(2024, 1, 31, 23), us(2019, 12), months=months)
        assert await names(connection) >= {"reading_row_2024_01", "reading_row_2019_12"}
        assert await names(connection, "rollup_15min") >= {"rollup_15min_2024_01", "rollup_15min_2019_12"}

    async def test_instants_that_no_clock_should_show_get_no_month(self, connection: Connection) -> None:
        before = await names(connection)
        await prepare(connection, us(2009, 12, 31), us(2001, 1), us(2150, 6))
        assert await names(connection) == before

    @SERVERS
    @pytest.mark.usefixtures("gateways")
    async def test_a_session_in_another_time_zone_makes_the_same_months(self, connection: Connection) -> None:
        for zone, year in (("Pacific/Kiritimati", 2020), ("America/Los_Angeles", 2021)):
            await connection.execute(f"SET timezone = '{zone}'".encode())
            await connection.commit()
            edges = [us(year, 3), us(year, 3, 31, 23), us(year, 4)]
            await store_batch(connection, batch([power(at, [1.0]) for at in edges], generation=f"{year:032}"))
            found = await where(connection)
            assert (found[f"reading_row_{year}_03"], found[f"reading_row_{year}_04"]) == (2, 1)

    @SERVERS
    @pytest.mark.usefixtures("gateways")
    async def test_what_lies_outside_is_kept_and_moves_when_its_month_comes(self, connection: Connection) -> None:
        early_us = us(2005, 5, 5)
        await store_batch(connection, batch([power(us(2024, 1), [1.0]), power(early_us, [2.0], [3.0])]))
        assert await where(connection) == {"reading_row_2024_01": 1, "reading_row_default": 2}
        assert await where(connection, "rollup_15min") == {"rollup_15min_2024_01": 1, "rollup_15min_default": 2}
        # as if that month had come within bounds
        await connection.execute("DROP TABLE reading_row_2024_01, rollup_15min_2024_01")
        await connection.execute("UPDATE reading_row SET period_start = '2024-01-31 23:59+00'")
        await connection.execute("UPDATE rollup_15min SET step_start = '2024-01-31 23:45+00'")
        await connection.commit()
        await prepare(connection, us(2024, 1))
        assert await where(connection) == {"reading_row_2024_01": 2}
        assert await where(connection, "rollup_15min") == {"rollup_15min_2024_01": 2}

    async def test_processes_that_need_a_month_together_make_it_once(self, dsn: str) -> None:
        async def one() -> None:
            async with await psycopg.AsyncConnection.connect(dsn) as own:
                await prepare(own, us(2022, 2), us(2022, 1))

        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(one())

    @pytest.mark.usefixtures("gateways")
    async def test_an_upload_does_not_wait_for_a_long_query(
        self, connection: Connection, dsn: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as reader:
            await reader.execute("SELECT count(*) FROM reading_row_default")  # holds its lock until it ends
            with caplog.at_level(logging.WARNING):
                await store_batch(connection, batch([power(us(2024, 1), [1.0])]))
        assert "partitions wait for a long query" in caplog.text
        assert await where(connection) == {"reading_row_default": 1}
        await prepare(connection, us(2024, 1))
        assert await where(connection) == {"reading_row_2024_01": 1}

    @pytest.mark.usefixtures("gateways")
    async def test_what_strangers_put_into_the_default_partition_stops_no_upload(
        self, connection: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is looked through whenever a month is made: that may take longer than a batch has."""
        monkeypatch.setattr(partitions, "CREATE_MS_MAX", 1)
        known = Known()
        with caplog.at_level(logging.WARNING):
            for sequence in (1, 2):
                one = batch([power(us(2024, 1, sequence), [1.0])], first=sequence)
                await store_batch(connection, one, known=known)
        assert caplog.text.count("partitions wait for the next start") == 1, "each try costs what all wait for"
        assert await where(connection) == {"reading_row_default": 2}
        monkeypatch.undo()
        await prepare(connection, us(2024, 1))
        assert await where(connection) == {"reading_row_2024_01": 2}
