"""One embedded PostgreSQL for all tests, and Debian's for some; a database of its own for each."""

import itertools
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from cloud_trainer.embedded import EmbeddedPostgres
from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.migrate import migrate
from tests.sim.cloud_records import GATEWAYS
from tests.sim.debian_postgres import PROGRAMS, debian_postgres

_NUMBERS = itertools.count(1)

# For tests that must hold on both: pytest.mark.parametrize("server", SERVERS, indirect=True)
SERVERS = ("postgres", "debian")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of the embedded server; its database `template` has our tables."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("a folder") / "pg") as dsn:
        _make_template(dsn)
        yield dsn


@pytest.fixture(scope="session")
def debian() -> Iterator[str]:
    """The same of the oldest PostgreSQL we promise to work with."""
    if not (PROGRAMS / "initdb").exists():
        pytest.skip(f"there is no PostgreSQL in {PROGRAMS}: apt-get install postgresql")
    with debian_postgres() as dsn:
        _make_template(dsn)
        yield dsn


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """DSN of the server a test runs on: the embedded one, unless the test names another."""
    dsn: str = request.getfixturevalue(getattr(request, "param", "postgres"))
    return dsn


@pytest.fixture
def dsn(server: str) -> Iterator[str]:
    """DSN of a new database with our tables."""
    name = f"test_{next(_NUMBERS)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE template")
    yield psycopg.conninfo.make_conninfo(server, dbname=name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    """A connection to a new database with our tables."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield connection


@pytest.fixture
def gateways(dsn: str) -> None:
    """Gateways of the organisation `default` that may send; without keys, for tests below HTTP."""
    with psycopg.connect(dsn) as connection:
        for gateway in GATEWAYS:
            connection.execute(
                "INSERT INTO gateway (gateway_id, organisation_id, site_id) VALUES (%s, 'default', 'default')",
                (gateway,),
            )


def _make_template(dsn: str) -> None:
    _execute(dsn, "CREATE DATABASE template")
    with psycopg.connect(dsn, dbname="template") as connection:
        migrate(connection)


def _execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())
