import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_trainer.ingest.app import CONNECTIONS_MAX, check_loopback, listening
from firmware_bridge.errors import ConflictError, SettingError
from gateway.contract.batches import BATCH_BYTES_MAX, Acknowledgement, decode_acknowledgement, encode_batch
from tests.sim.cloud_records import GENERATION, batch, one_of_each

HEADERS = {"Content-Type": "application/msgpack"}
BODY = encode_batch(batch(one_of_each()))


@dataclass(frozen=True)
class Ingest:
    """A gateway's view of a running ingest."""

    session: aiohttp.ClientSession
    port: int

    async def post(
        self, body: bytes, headers: dict[str, str] = HEADERS, path: str = "/v1/batches"
    ) -> tuple[int, bytes]:
        async with self.session.post(path, data=io.BytesIO(body), headers=headers) as response:
            return response.status, await response.read()


@pytest.fixture
async def ingest(dsn: str) -> AsyncIterator[Ingest]:
    async with (
        listening(dsn, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield Ingest(session, port)


async def count(dsn: str, table: str = "record") -> int:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.slow
@pytest.mark.pg
class TestOverSockets:
    async def test_a_batch_is_committed_and_acknowledged(self, ingest: Ingest, dsn: str) -> None:
        status, answer = await ingest.post(BODY)
        assert status == 200
        assert decode_acknowledgement(answer) == Acknowledgement(GENERATION, acknowledged=6, stored=6)
        assert await count(dsn) == 6

    async def test_a_batch_sent_again_gets_the_same_acknowledgement(self, ingest: Ingest, dsn: str) -> None:
        await ingest.post(BODY)
        status, answer = await ingest.post(BODY)
        assert (status, decode_acknowledgement(answer)) == (200, Acknowledgement(GENERATION, 6, stored=0))
        assert await count(dsn) == 6

    @pytest.mark.parametrize(
        ("body", "headers", "path", "status", "word"),
        [
            (b"", HEADERS, "/v1/batches", 400, "batch cannot be decoded"),
            (b"\x01\x02", HEADERS, "/v1/batches", 400, "batch cannot be decoded"),
            (BODY[:-1], HEADERS, "/v1/batches", 400, "batch cannot be decoded"),
            (BODY, {"Content-Type": "application/json"}, "/v1/batches", 415, "content type"),
            (BODY, HEADERS | {"Content-Encoding": "gzip"}, "/v1/batches", 415, "content encoding"),
            (b"\0" * (BATCH_BYTES_MAX + 1), HEADERS, "/v1/batches", 413, "larger than 4194304 bytes"),
            (BODY, HEADERS, "/v2/batches", 404, "Not Found"),
            (BODY, HEADERS, "/healthz", 405, "Method Not Allowed"),
        ],
        ids=["empty", "no batch", "cut short", "other type", "packed", "too large", "other path", "other method"],
    )
    async def test_what_is_refused_is_told_why(
        self, ingest: Ingest, dsn: str, body: bytes, headers: dict[str, str], path: str, status: int, word: str
    ) -> None:
        answered, answer = await ingest.post(body, headers, path)
        told = json.loads(answer)
        assert (answered, set(told)) == (status, {"error", "hint"})
        assert word in told["error"]
        assert await count(dsn) == 0

    async def test_sequences_beyond_counting_are_refused(self, ingest: Ingest) -> None:
        status, answer = await ingest.post(encode_batch(batch([b"x"], first=2**63)))
        assert status == 400
        assert b"sequence" in answer

    async def test_a_body_that_ends_in_the_middle_stores_nothing(self, ingest: Ingest, dsn: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
        head = f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
        writer.write(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:-5])
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        assert await count(dsn) == 0
        assert (await ingest.post(BODY))[0] == 200

    async def test_connections_beyond_the_cap_are_hung_up(self, ingest: Ingest) -> None:
        open_ones = [await asyncio.open_connection("127.0.0.1", ingest.port) for _ in range(CONNECTIONS_MAX)]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
            assert await reader.read() == b""
            writer.close()
        finally:
            for _, writer in open_ones:
                writer.close()

    async def test_a_database_that_goes_away_is_503_until_it_is_back(
        self, ingest: Ingest, dsn: str, postgres: str
    ) -> None:
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as server:
            await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            async with ingest.session.post("/v1/batches", data=BODY, headers=HEADERS) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "30")
                assert set(await response.json()) == {"error", "hint"}
            await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        while (status := (await ingest.post(BODY))[0]) == 503:
            pass
        assert status == 200
        assert await count(dsn) == 6

    async def test_health_says_whether_the_database_is_there(self, ingest: Ingest) -> None:
        async with ingest.session.get("/healthz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(position=st.integers(0, len(BODY) - 1), value=st.integers(0, 255), length=st.integers(0, len(BODY)))
    async def test_no_damaged_body_is_the_servers_fault(
        self, ingest: Ingest, position: int, value: int, length: int
    ) -> None:
        damaged = bytearray(BODY)
        damaged[position] = value
        for body in (bytes(damaged), bytes(damaged[:length]), bytes(damaged[length:])):
            assert (await ingest.post(body))[0] in (200, 400, 409)

    async def test_a_port_that_is_taken_ends_in_one_sentence(self, ingest: Ingest, dsn: str) -> None:
        with pytest.raises(ConflictError, match="Address already in use"):
            async with listening(dsn, "127.0.0.1", ingest.port):
                pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    check_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_other_interfaces_are_refused_until_gateways_can_prove_who_they_are(host: str) -> None:
    with pytest.raises(SettingError, match="--host"):
        check_loopback(host)
