import psycopg
import pytest
from psycopg import sql

from cloud_trainer.database import Connection, connect
from cloud_trainer.fleet.erase import ROWS, erase_site
from cloud_trainer.fleet.gateways import revoke_gateway
from cloud_trainer.fleet.sites import sites
from cloud_trainer.ingest.claims import ClaimRefusedError
from firmware_bridge.errors import ConflictError, NotFoundError
from tests.sim.cloud_records import START_US
from tests.sim.fleet import NOW_US, SITE, enrolled, new_key, raw_record, tenant

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def counts(connection: Connection) -> dict[str, int]:
    found = {}
    for table in ROWS:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        assert row is not None
        found[table] = row[0]
    return found


async def test_everything_of_a_site_goes_and_nothing_else(dsn: str) -> None:
    with connect(dsn) as connection:
        empty = counts(connection)
    await tenant(dsn, "theirs", [raw_record(START_US)])
    with connect(dsn) as connection:
        before = counts(connection)
    await tenant(dsn, "ours", [raw_record(START_US), b"no record"])
    with connect(dsn) as connection:
        with_ours = counts(connection)
        gone = erase_site(connection, "ours", SITE, revoke=True)
    with connect(dsn) as connection:
        assert counts(connection) == before
        assert sites(connection, "ours") == []
    assert gone == {table: with_ours[table] - before[table] for table in gone}
    assert all(with_ours[table] > empty[table] for table in ROWS), "each table has had something to erase"


async def test_a_site_that_is_in_use_is_spared_unless_its_gateways_are_revoked_with_it(dsn: str) -> None:
    ours = await tenant(dsn, "ours")
    with connect(dsn) as connection:
        before = counts(connection)
        with pytest.raises(ConflictError, match="active gateway"):
            erase_site(connection, "ours", SITE, revoke=False)
        assert counts(connection) == before
        revoke_gateway(connection, "ours", ours.gateway, NOW_US)
        assert erase_site(connection, "ours", SITE, revoke=False)["gateway"] == 1


async def test_a_code_of_an_erased_site_lets_nobody_in(dsn: str) -> None:
    ours = await tenant(dsn, "ours")
    with connect(dsn) as connection:
        erase_site(connection, "ours", SITE, revoke=True)
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        for made in (ours.open_claim, ours.used_claim):
            with pytest.raises(ClaimRefusedError):
                await enrolled(writer, "gw-9", new_key(), made.code)


def test_a_site_that_is_not_there_is_told(dsn: str) -> None:
    with connect(dsn) as connection, pytest.raises(NotFoundError, match="is no site of default"):
        erase_site(connection, "default", "nowhere", revoke=True)


def test_no_table_with_something_of_a_gateway_is_forgotten(dsn: str) -> None:
    with connect(dsn) as connection:
        rows = connection.execute(
            "SELECT DISTINCT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace"
            " AND attname IN ('gateway_id', 'generation_id', 'series_id', 'site_id')"
        ).fetchall()
    assert {name for (name,) in rows} == set(ROWS)
