from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest

from cloud_trainer.ingest.db import store_batch
from cloud_trainer.ingest.migrate import migrate, schema_files
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import Quality
from gateway.contract.batches import Batch
from gateway.contract.readings import unpack_block
from gateway.contract.records import ReadingsBlock, decode_record
from tests.sim.cloud_records import GATEWAY, POLL_US, START_US, batch, block, one_of_each, power


def test_migrations_are_numbered_without_a_gap() -> None:
    assert sorted(schema_files()) == list(range(1, len(schema_files()) + 1))


@pytest.fixture
def empty_dsn(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS empty WITH (FORCE)")
        connection.execute("CREATE DATABASE empty")
    return psycopg.conninfo.make_conninfo(server, dbname="empty")


@pytest.mark.slow
@pytest.mark.pg
def test_programs_that_start_together_migrate_once(empty_dsn: str) -> None:
    def start(_: int) -> int:
        with psycopg.connect(empty_dsn) as connection:
            return migrate(connection)

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(start, range(4))) == {max(schema_files())}
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM schema_version").fetchone() == (len(schema_files()),)


@pytest.mark.slow
@pytest.mark.pg
def test_a_database_of_a_newer_program_is_left_alone(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO schema_version (version) VALUES (999)")
        with pytest.raises(SettingError, match="newer than this program"):
            migrate(connection)


@pytest.mark.slow
@pytest.mark.pg
def test_instants_are_exact_to_the_microsecond(dsn: str) -> None:
    instants = [946_684_800_000_000, 1_704_067_200_000_001, 7_258_118_399_999_999]
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT array_agg(instant_us(instant(us))) FROM unnest(%s) AS us", (instants,))
        assert row.fetchone() == (instants,)


def suspect(one: ReadingsBlock) -> ReadingsBlock:
    return msgspec.structs.replace(one, quality=bytes([Quality.SUSPECT]) * len(one.quality))


def sent() -> Batch:
    """Blocks of every sort: whole, cut short at either end, thin, silent, suspect, long ago; and one that is none."""
    power_w, voltage = ("grid", Measurand.ACTIVE_POWER_W), ("grid", Measurand.VOLTAGE_V)
    start_us = START_US + 86_400_000_000
    return batch(
        [
            *one_of_each(),
            b"\xff?",
            *(power(start_us + i * 5 * POLL_US, [1.0 * i] * 5, [-2.0] * 5) for i in range(4)),
            block(start_us + 20 * POLL_US, {power_w: [9.0, 8.0], voltage: [230.0]}),
            block(start_us + 20 * POLL_US, {power_w: [7.5], voltage: []}, first_us=start_us + 24 * POLL_US),
            suspect(power(start_us + 25 * POLL_US, [1e6] * 5)),
            suspect(power(start_us + 30 * POLL_US, [4.0] * 4, [5.0] * 5)),
            power(START_US - 20 * 365 * 86_400_000_000, [3.0] * 5),
        ]
    )


_OLD_RECORD = "INSERT INTO record VALUES (%s, %s, %s, %s, instant(%s), now(), %s)"
_OLD_READING = """
INSERT INTO reading VALUES (%s, %s, %s, instant(%s), %s, instant(%s), instant(%s), %s, %s, %s, %s, %s, %s, %s)
"""


def fill_schema_1(connection: psycopg.Connection) -> None:
    """As the program of that time did."""
    whole = sent()
    for stored in whole.records:
        kind = "undecodable"
        if stored.body != b"\xff?":
            record = decode_record(stored.body)
            kind = str(record.__struct_config__.tag)
            for one in unpack_block(record) if isinstance(record, ReadingsBlock) else []:
                extent = (record.start_us, record.period_us / 1e6, record.first_us, record.last_us)
                values = (one.mean, one.minimum, one.maximum, one.count, int(one.quality))
                row = (GATEWAY, one.series.meter, one.series.measurand.value, *extent, *values)
                connection.execute(_OLD_READING, (*row, whole.generation, stored.sequence))
        key = (GATEWAY, whole.generation, stored.sequence)
        connection.execute(_OLD_RECORD, (*key, kind, stored.recorded_us, stored.body))


def bring_to(connection: psycopg.Connection, version: int) -> None:
    connection.execute("CREATE TABLE schema_version (version integer PRIMARY KEY)")
    for number in range(1, version + 1):
        connection.execute(schema_files()[number])
        connection.execute("INSERT INTO schema_version VALUES (%s)", (number,))
        if number == 1:
            fill_schema_1(connection)


def contents(dsn: str) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(dsn) as connection:
        return [
            connection.execute(query.encode()).fetchall()
            for query in (
                "SELECT generation, sequence, kind, recorded_at, digest, body FROM record ORDER BY sequence",
                "SELECT * FROM reading ORDER BY sequence, meter, measurand",
                "SELECT gateway_id, meter, measurand, step_start, round(mean::numeric, 9), minimum, maximum, count,"
                " round(covered_s::numeric, 6) FROM reading_15min ORDER BY meter, measurand, step_start",
                "SELECT tableoid::regclass::text, count(*) FROM reading_row GROUP BY 1 ORDER BY 1",
                "SELECT gateway_id, generation, last_sequence FROM generation",
                "SELECT gateway_id, organisation_id, site_id, status FROM gateway WHERE gateway_id = 'gw-1'",
            )
        ]


@pytest.mark.slow
@pytest.mark.pg
@pytest.mark.usefixtures("gateways")
@pytest.mark.parametrize("server", ["postgres", "debian"], indirect=True)
async def test_from_every_version_a_database_becomes_what_it_would_be_today(dsn: str, empty_dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await store_batch(writer, sent())
    today = contents(dsn)
    assert all(today)
    for version in range(1, max(schema_files())):
        with psycopg.connect(empty_dsn) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            bring_to(connection, version)
            assert migrate(connection) == max(schema_files())
        assert contents(empty_dsn) == today, f"from version {version}"
    async with await psycopg.AsyncConnection.connect(empty_dsn) as writer:
        assert (await store_batch(writer, sent())).stored == 0, "what was sent to the old program is known"
