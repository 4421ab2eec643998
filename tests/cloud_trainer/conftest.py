"""One embedded PostgreSQL for all tests, a database of its own for each."""

import itertools
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from cloud_trainer.embedded import EmbeddedPostgres
from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.migrate import migrate

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of the server; its database `template` has our tables."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("a folder") / "pg") as dsn:
        _execute(dsn, "CREATE DATABASE template")
        with psycopg.connect(dsn, dbname="template") as connection:
            migrate(connection)
        yield dsn


@pytest.fixture
def dsn(postgres: str) -> Iterator[str]:
    """DSN of a new database with our tables."""
    name = f"test_{next(_NUMBERS)}"
    _execute(postgres, f"CREATE DATABASE {name} TEMPLATE template")
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    """A connection to a new database with our tables."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield connection


def _execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())
