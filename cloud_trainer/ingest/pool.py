"""Connections to the database: a few, kept open, each of which commits to the disk. A shell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool

from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.limits import Limits

Pool: TypeAlias = AsyncConnectionPool[Connection]

# Beyond those that store, for lookups, enrolments and health.
_OTHER_CONNECTIONS = 2
# Tries to connect end after this, and the next request begins anew: else the pool would wait twice as long each
# time, and a database that is back after an hour would not be found for minutes.
_RECONNECT_S = 1.0


def database_pool(dsn: str, limits: Limits) -> Pool:
    """A pool, not yet open; whoever takes a connection says where a transaction begins."""
    return AsyncConnectionPool[Connection](
        dsn,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=limits.stores_max + _OTHER_CONNECTIONS,
        max_waiting=limits.waiting_max,
        timeout=limits.connect_s_max,
        reconnect_timeout=_RECONNECT_S,
        open=False,
        configure=lambda connection: _configure(connection, limits),
    )


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool within the block.

    Raises:
        psycopg.OperationalError: the database is away, or was.
        psycopg_pool.TooManyRequests: too many wait for one.
    """
    try:
        async with pool.connection() as connection:
            yield connection
    except psycopg.OperationalError:
        # What waits in the pool may be dead as well: whoever comes next finds out now and not then.
        await pool.check()
        raise


async def _configure(connection: Connection, limits: Limits) -> None:
    """Whatever the server's defaults are: acknowledged means on its disk."""
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
    await connection.execute(
        "SELECT set_config('statement_timeout', %s, false)", (f"{limits.store_s_max * 1000:.0f}ms",)
    )
