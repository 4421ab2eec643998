"""One process of an ingest over real sockets, with a real database that comes and goes."""

import asyncio
import contextlib
import os
import signal
import ssl
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cloud_trainer.embedded import EmbeddedPostgres
from cloud_trainer.ingest.app import listening
from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.migrate import migrate
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.errors import ConflictError
from gateway.contract.batches import BATCH_RECORDS_MAX, Acknowledgement, encode_batch
from gateway.contract.records import RECORD_UNPACKED_BYTES_MAX
from tests.sim.cloud_records import GENERATION, batch, one_of_each
from tests.sim.signed_sender import Sender, before_an_ingest, know
from tests.sim.tls import self_signed

pytestmark = [pytest.mark.slow, pytest.mark.pg]

BATCH = batch(one_of_each())
BODY = encode_batch(BATCH)


def count(dsn: str, table: str = "record") -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row is not None
        return int(row[0])


async def test_a_batch_is_committed_and_acknowledged(sender: Sender, dsn: str) -> None:
    reply = await sender.send(BATCH)
    assert reply.acknowledgement == Acknowledgement(GENERATION, acknowledged=6, stored=6)
    assert count(dsn) == 6


async def test_the_nonce_of_an_answer_is_good_for_the_next_request(sender: Sender, dsn: str) -> None:
    reply = await sender.send(BATCH)
    for _ in range(3):
        reply = await sender.send(BATCH, nonce=reply.next_nonce)
        assert reply.acknowledgement == Acknowledgement(GENERATION, acknowledged=6, stored=0)
    assert count(dsn) == 6


async def test_every_connection_commits_to_the_disk_whatever_the_server_says(settings: Settings, dsn: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
        connection.execute(
            "CREATE TABLE seen (setting text);"
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;"
            "CREATE TRIGGER see BEFORE INSERT ON generation FOR EACH ROW EXECUTE FUNCTION see()"
        )
    async with before_an_ingest(settings) as sender:
        assert (await sender.send(BATCH)).status == 200
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT setting FROM seen").fetchall() == [("on",)]


async def test_a_database_that_goes_away_is_503_until_it_is_back(settings: Settings, dsn: str, postgres: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    async with (
        before_an_ingest(settings, Limits(connect_s_max=0.3)) as sender,
        await psycopg.AsyncConnection.connect(postgres, autocommit=True) as server,
    ):
        assert (await sender.send(batch(one_of_each()[:1]))).status == 200
        await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        reply = await sender.send(BATCH)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
        assert await health(sender) == (503, 503)
        await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        while (reply := await sender.send(BATCH, nonce=reply.next_nonce)).status == 503:
            pass
        assert reply.acknowledgement.stored == 5
    assert count(dsn) == 6


async def health(sender: Sender) -> tuple[int, int]:
    """What both ports say."""
    assert sender.ports is not None
    found = []
    for url in (sender.url, f"http://127.0.0.1:{sender.ports.metrics_port}"):
        async with sender.session.get(f"{url}/healthz") as response:
            found.append(response.status)
    return found[0], found[1]


async def test_health_says_whether_the_database_is_there(sender: Sender) -> None:
    assert await health(sender) == (200, 200)


class Mortal:
    """A PostgreSQL of its own that can be killed, and is found under one DSN again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._link = folder / "pg", folder / "s"
        self._server = EmbeddedPostgres(self._folder)
        self.dsn = ""

    def start(self) -> None:
        dsn = self._server.start()
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(str(psycopg.conninfo.conninfo_to_dict(dsn)["host"]))
        self.dsn = psycopg.conninfo.make_conninfo(dsn, host=str(self._link))

    def kill(self) -> None:
        """All of it at once, as a power cut would; what it wrote and did not sync may be there or not."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def mortal() -> Iterator[Mortal]:
    # short: the name of a socket has 107 bytes at most
    with tempfile.TemporaryDirectory(prefix="sw") as folder:
        server = Mortal(Path(folder))
        server.start()
        try:
            with psycopg.connect(server.dsn) as connection:
                migrate(connection)
            yield server
        finally:
            server.stop()


async def test_postgresql_killed_in_mid_batch_leaves_nothing_half_stored(mortal: Mortal, tmp_path: Path) -> None:
    with psycopg.connect(mortal.dsn) as connection:
        # each batch stands still in its middle: its records are in, its readings are not
        connection.execute(
            "CREATE FUNCTION stand() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;"
            "CREATE TRIGGER stand BEFORE INSERT ON block FOR EACH ROW EXECUTE FUNCTION stand()"
        )
    settings = Settings(dsn=mortal.dsn, keys=str(tmp_path / "keys"), host="127.0.0.1", port=0)
    async with before_an_ingest(settings, Limits(connect_s_max=0.3)) as sender:
        async with asyncio.TaskGroup() as group:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(mortal.dsn) as holder:
                holder.execute("SELECT pg_advisory_lock(42)")
                sending = group.create_task(sender.send(BATCH))
                await until_somebody_waits(mortal.dsn)
                mortal.kill()
        reply = sending.result()
        assert (reply.status, reply.refusal.error) == (503, "the database cannot be reached")
        reply = await sender.send(BATCH, nonce=reply.next_nonce)
        assert reply.status == 503
        mortal.start()
        assert count(mortal.dsn) == 0
        while (reply := await sender.send(BATCH, nonce=reply.next_nonce)).status == 503:
            pass
        assert reply.acknowledgement.stored == 6
        assert [count(mortal.dsn, table) for table in ("record", "block", "reading_row")] == [6, 1, 2]


async def until_somebody_waits(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while (await (await connection.execute(waiting)).fetchone()) == (0,):
            pass


async def test_records_that_unpack_to_gigabytes_are_refused(sender: Sender, dsn: str) -> None:
    bomb = zlib.compress(bytes(RECORD_UNPACKED_BYTES_MAX))
    reply = await sender.send(batch([bomb] * BATCH_RECORDS_MAX))
    assert reply.status == 413
    assert "unpack to more than" in reply.refusal.error
    assert count(dsn) == 0
    assert (await sender.send(BATCH, nonce=reply.next_nonce)).status == 200


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(BODY) - 1), value=st.integers(0, 255), length=st.integers(0, len(BODY)))
async def test_no_damaged_body_is_the_servers_fault(sender: Sender, position: int, value: int, length: int) -> None:
    damaged = bytearray(BODY)
    damaged[position] = value
    nonce = None
    for body in (bytes(damaged), bytes(damaged[:length]), bytes(damaged[length:])):
        reply = await sender.post(body, nonce=nonce)
        nonce = reply.next_nonce
        assert reply.status in (200, 400, 409, 422, 429)


async def test_over_tls_it_is_the_same(settings: Settings, dsn: str, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    with_tls = msgspec.structs.replace(settings, tls_cert=str(cert), tls_key=str(key))
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(cert)))
    async with listening(with_tls) as ports, aiohttp.ClientSession(connector=connector) as session:
        assert ports.public_url == f"https://127.0.0.1:{ports.port}"
        sender = know(dsn, Sender(session, ports.public_url, Path(settings.keys)))
        assert (await sender.send(BATCH)).acknowledgement.stored == 6


async def test_ports_that_are_taken_end_in_one_sentence(sender: Sender, settings: Settings) -> None:
    assert sender.ports is not None
    for change, field in (
        ({"port": sender.ports.port}, "--port"),
        ({"metrics_port": sender.ports.metrics_port}, "--metrics-port"),
    ):
        with pytest.raises(ConflictError, match=f"{field} = .*Address already in use"):
            async with listening(msgspec.structs.replace(settings, **change)):
                pass
