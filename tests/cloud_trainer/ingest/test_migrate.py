from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from cloud_trainer.ingest.migrate import migrate, schema_files
from firmware_bridge.errors import SettingError


def test_migrations_are_numbered_without_a_gap() -> None:
    assert sorted(schema_files()) == list(range(1, len(schema_files()) + 1))


@pytest.fixture
def empty_dsn(postgres: str) -> str:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS empty WITH (FORCE)")
        connection.execute("CREATE DATABASE empty")
    return psycopg.conninfo.make_conninfo(postgres, dbname="empty")


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
