import asyncio
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import UtcUs
from gateway.config import SyncConfig
from gateway.contract.batches import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    Acknowledgement,
    Batch,
    decode_batch,
    encode_acknowledgement,
)
from gateway.contract.records import ReadingsBlock, StatusRecord
from gateway.shell.store import Store
from gateway.shell.sync_client import BATCHES_PATH, SyncClient

NOW_US = UtcUs(1_700_000_000_000_000)
GATEWAY = "gw-1"

Behaviour = Callable[["Cloud", web.Request, Batch], Awaitable[web.StreamResponse]]


class Cloud:
    """An ingest of a few lines: commits, then answers; does what `script` says first, one a request."""

    def __init__(self) -> None:
        self.script: list[Behaviour] = []
        self.bodies: list[bytes] = []
        self.rows: dict[tuple[str, int], bytes] = {}
        self.received = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        assert request.content_type == "application/msgpack"
        self.bodies.append(body)
        batch = decode_batch(body)
        assert batch.gateway == GATEWAY
        behaviour = self.script.pop(0) if self.script else commit_and_answer
        answer = await behaviour(self, request, batch)
        self.received.set()
        return answer

    def commit(self, batch: Batch) -> Acknowledgement:
        before = len(self.rows)
        for one in batch.records:
            self.rows.setdefault((batch.generation, one.sequence), one.body)
        return Acknowledgement(batch.generation, batch.records[-1].sequence, len(self.rows) - before)

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post(BATCHES_PATH, self.take)
        app.router.add_route("*", "/portal", self.take_blindly)
        runner = web.AppRunner(app, handler_cancellation=True)  # a client that leaves ends its request
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            port = runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{port}/"
            yield port
        finally:
            await runner.cleanup()

    async def take_blindly(self, request: web.Request) -> web.StreamResponse:
        assert request.path != "/portal", "a redirection is never followed"
        raise AssertionError


async def commit_and_answer(cloud: Cloud, _: web.Request, batch: Batch) -> web.StreamResponse:
    return web.Response(body=encode_acknowledgement(cloud.commit(batch)))


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    async def behave(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return behave


def acknowledge(**changes: object) -> Behaviour:
    async def behave(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
        true = Acknowledgement(batch.generation, batch.records[-1].sequence, len(batch.records))
        return web.Response(body=encode_acknowledgement(msgspec.structs.replace(true, **changes)))

    return behave


def with_status(status: int) -> Behaviour:
    async def behave(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
        true = Acknowledgement(batch.generation, batch.records[-1].sequence, len(batch.records))
        headers = {"Location": cloud.url + "portal"} if status == 302 else {}
        return web.Response(status=status, body=encode_acknowledgement(true), headers=headers)

    return behave


async def hang_up(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def commit_and_hang_up(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
    cloud.commit(batch)
    return await hang_up(cloud, request, batch)


async def break_off(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
    whole = encode_acknowledgement(Acknowledgement(batch.generation, batch.records[-1].sequence, 0))
    response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def talk_for_ever(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 10_000)


async def stay_silent(cloud: Cloud, request: web.Request, batch: Batch) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def gateway(
    folder: Path, cloud: Cloud, records: int = 5, *, timeout_s: float = 10.0
) -> AsyncIterator[tuple[Store, SyncClient]]:
    """A store with some records in it, and the client that sends them to `cloud`."""
    store = await Store.open(folder, NOW_US)
    try:
        await append(store, records)
        yield store, SyncClient(SyncConfig(cloud.url, 0.001, timeout_s), GATEWAY, store, SystemClock())
    finally:
        await store.close()


async def append(store: Store, records: int) -> None:
    first = store.queue.acknowledged + store.queue.records + 1
    await store.append(
        [StatusRecord(UtcUs(first + i), "started", "1.0", f"number {first + i}") for i in range(records)], NOW_US
    )


def assert_at_home(cloud: Cloud, store: Store, records: int) -> None:
    """Every record arrived exactly, in order, and the cursor says so."""
    assert list(cloud.rows) == [(store.generation, sequence) for sequence in range(1, records + 1)]
    bodies = [msgspec.msgpack.decode(zlib.decompress(body)) for body in cloud.rows.values()]
    assert bodies == [["status", n, "started", "1.0", f"number {n}"] for n in range(1, records + 1)]
    assert (store.queue.acknowledged, store.queue.records) == (records, 0)


async def test_a_good_acknowledgement_moves_the_cursor(tmp_path: Path):
    cloud = Cloud()
    async with cloud.listening(), gateway(tmp_path, cloud) as (store, client):
        await client.finish()
        assert_at_home(cloud, store, 5)
        assert client.state.last_error is None
        assert client.state.last_success_us is not None
        assert (client.state.records_sent, client.state.bytes_sent) == (5, len(cloud.bodies[0]))
        await client.finish()
        assert len(cloud.bodies) == 1, "nothing waits, nothing is sent"


GZIP_BOMB = zlib.compress(bytes(30_000_000), 9)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (answer(200, b"<html>Welcome to the hotel</html>"), "not an acknowledgement"),
        (answer(200), "not an acknowledgement"),
        (answer(200, b"[" * 60_000), "not an acknowledgement"),
        (answer(200, b"no gzip at all", **{"Content-Encoding": "gzip"}), "no answer"),
        (answer(200, GZIP_BOMB, **{"Content-Encoding": "deflate"}), "longer than"),
        (answer(400, b'{"error": "records are damaged"}'), "400"),
        (answer(500, b"<html>" + b"trace" * 100), "500"),
        (answer(503), "503"),
        (with_status(201), "201"),
        (with_status(302), "302"),
        (with_status(404), "404"),
        (acknowledge(generation="f" * 32), "something else"),
        (acknowledge(acknowledged=4), "something else"),
        (acknowledge(acknowledged=6), "something else"),
        (acknowledge(acknowledged=2**63), "something else"),
        (acknowledge(acknowledged=0), "not an acknowledgement"),
        (hang_up, "no answer"),
        (commit_and_hang_up, "no answer"),
        (break_off, "no answer"),
        (talk_for_ever, "longer than"),
    ],
)
async def test_any_other_answer_moves_nothing_and_the_next_upload_succeeds(
    tmp_path: Path, behaviour: Behaviour, error: str
):
    cloud = Cloud()
    cloud.script = [behaviour, behaviour]
    async with cloud.listening(), gateway(tmp_path, cloud) as (store, client), aiohttp.ClientSession() as session:
        for _ in range(2):
            await client.drain(session)
            assert client.state.last_error is not None
            assert error in client.state.last_error
            assert (store.queue.acknowledged, store.queue.records) == (0, 5)
            assert (client.state.last_success_us, client.state.records_sent) == (None, 0)
        await client.drain(session)
        assert client.state.last_error is None
        assert_at_home(cloud, store, 5)
        assert cloud.bodies[0] == cloud.bodies[-1], "the same batch is sent again unchanged"


async def test_a_compressed_answer_without_end_is_refused_in_bounded_memory(tmp_path: Path):
    cloud = Cloud()
    cloud.script = [answer(200, GZIP_BOMB, **{"Content-Encoding": "deflate"})]
    async with cloud.listening(), gateway(tmp_path, cloud) as (_, client):
        tracemalloc.start()
        await client.finish()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert client.state.last_error is not None
    assert peak_bytes < 5_000_000


async def test_a_silent_cloud_ends_with_the_deadline(tmp_path: Path):
    cloud = Cloud()
    cloud.script = [stay_silent]
    async with cloud.listening(), gateway(tmp_path, cloud, timeout_s=0.1) as (store, client):
        await client.finish()
        assert client.state.last_error is not None
        assert "TimeoutError" in client.state.last_error
        assert store.queue.records == 5
    async with cloud.listening(), gateway(tmp_path, cloud, 0) as (store, client):
        await client.finish()
        assert_at_home(cloud, store, 5)


async def test_a_cloud_that_is_down_is_tried_again(tmp_path: Path):
    cloud = Cloud()
    async with cloud.listening() as port:
        pass
    async with gateway(tmp_path, cloud) as (store, client):
        for _ in range(2):
            await client.finish()
            assert client.state.last_error is not None
            assert "no answer" in client.state.last_error
        await append(store, 3)
        async with cloud.listening(port):
            await client.finish()
            assert_at_home(cloud, store, 8)


async def test_a_server_without_tls_is_an_error_like_any_other(tmp_path: Path):
    cloud = Cloud()
    async with cloud.listening():
        cloud.url = cloud.url.replace("http:", "https:")
        async with gateway(tmp_path, cloud) as (store, client):
            await client.finish()
            assert client.state.last_error is not None
            assert store.queue.records == 5


async def test_what_is_recorded_while_a_batch_is_lost_comes_after_it(tmp_path: Path):
    cloud = Cloud()
    cloud.script = [commit_and_hang_up]
    async with cloud.listening(), gateway(tmp_path, cloud) as (store, client):
        await client.finish()
        await append(store, 4)
        await client.finish()
        assert_at_home(cloud, store, 9)


async def test_a_gateway_restarted_after_a_lost_answer_sends_the_same_again(tmp_path: Path):
    cloud = Cloud()
    cloud.script = [commit_and_hang_up]
    async with cloud.listening():
        async with gateway(tmp_path, cloud) as (store, client):
            await client.finish()
        async with gateway(tmp_path, cloud, 0) as (store, client):
            await client.finish()
            assert_at_home(cloud, store, 5)
    assert cloud.bodies[0] == cloud.bodies[1]


async def test_a_backlog_goes_home_in_several_batches(tmp_path: Path):
    cloud = Cloud()
    async with cloud.listening(), gateway(tmp_path, cloud, BATCH_RECORDS_MAX + 7) as (store, client):
        await client.finish()
        assert [len(decode_batch(body).records) for body in cloud.bodies] == [BATCH_RECORDS_MAX, 7]
        assert_at_home(cloud, store, BATCH_RECORDS_MAX + 7)


async def test_a_backlog_that_breaks_off_in_the_middle_keeps_what_was_acknowledged(tmp_path: Path):
    cloud = Cloud()
    cloud.script = [commit_and_answer, hang_up]
    async with cloud.listening(), gateway(tmp_path, cloud, BATCH_RECORDS_MAX + 7) as (store, client):
        await client.finish()
        assert (store.queue.acknowledged, store.queue.records) == (BATCH_RECORDS_MAX, 7)
        assert client.state.records_sent == BATCH_RECORDS_MAX
        await client.finish()
        assert_at_home(cloud, store, BATCH_RECORDS_MAX + 7)


async def test_large_records_go_home_in_batches_below_the_limit(tmp_path: Path):
    cloud, chance = Cloud(), random.Random(1)
    async with cloud.listening(), gateway(tmp_path, cloud, 0) as (store, client):
        for _ in range(15):
            codes = [chance.randbytes(200_000)]
            await store.append(
                [ReadingsBlock(UtcUs(1), 60, UtcUs(1), UtcUs(1), [], codes, [], [], [], [], b"")], NOW_US
            )
        await client.finish()
        assert len(cloud.bodies) > 1
        assert max(len(body) for body in cloud.bodies) < BATCH_BYTES_MAX / 4
        assert [sequence for _, sequence in cloud.rows] == list(range(1, 16))
        assert store.queue.records == 0


async def test_it_uploads_every_period_until_it_is_cancelled(tmp_path: Path):
    cloud = Cloud()
    async with cloud.listening(), gateway(tmp_path, cloud) as (store, client):
        async with asyncio.TaskGroup() as group:
            running = group.create_task(client.run())
            for _ in range(3):
                await cloud.received.wait()
                cloud.received.clear()
                await append(store, 1)
            await cloud.received.wait()
            running.cancel()
        await client.finish()
        assert_at_home(cloud, store, 8)
