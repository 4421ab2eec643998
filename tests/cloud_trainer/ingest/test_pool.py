import psycopg
import pytest

from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.pool import connected, database_pool

pytestmark = [pytest.mark.slow, pytest.mark.pg]


async def test_one_failure_finds_all_connections_that_a_restart_of_the_server_killed(dsn: str) -> None:
    async with database_pool(dsn, Limits()) as pool:
        async with connected(pool), connected(pool), connected(pool) as last:
            await last.execute("SELECT 1")
        with psycopg.connect(dsn) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(psycopg.OperationalError):
            async with connected(pool) as connection:
                await connection.execute("SELECT 1")
        for _ in range(6):
            async with connected(pool) as connection:
                await connection.execute("SELECT 1")


async def test_a_statement_has_a_deadline_and_a_commit_reaches_the_disk(dsn: str) -> None:
    async with database_pool(dsn, Limits(store_s_max=1.5)) as pool, connected(pool) as connection:
        settings = "SELECT current_setting('statement_timeout'), current_setting('synchronous_commit')"
        assert await (await connection.execute(settings)).fetchone() == ("1500ms", "on")
