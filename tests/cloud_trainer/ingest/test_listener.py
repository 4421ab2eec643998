"""Connections that say nothing, say it slowly, or are too many; a good client gets through all of them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from cloud_trainer.ingest.door import watch
from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.listener import Listener
from cloud_trainer.ingest.metrics import Metrics
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import ConflictError, SettingError
from tests.sim.tls import self_signed

pytestmark = pytest.mark.slow

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class House:
    """A server that answers anything, behind a listener with small limits."""

    def __init__(self, metrics: Metrics, began: asyncio.Semaphore, server: asyncio.Server) -> None:
        self.metrics = metrics
        # one for each request whose head was read
        self.began = began
        self.port: int = server.sockets[0].getsockname()[1]
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, address: str = "127.0.0.1", **how: object) -> Stream:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            local_addr=(address, 0),
            **how,  # type: ignore[arg-type]
        )
        self._writers.append(writer)
        return reader, writer

    async def leave(self) -> None:
        """Close what was opened."""
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def hangups(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("smartwatts_ingest_hangups_total", {"reason": reason}) or 0.0

    def open(self) -> float:
        return self.metrics.registry.get_sample_value("smartwatts_ingest_connections") or 0.0


@asynccontextmanager
async def house(
    limits: Limits, *, proxies: tuple[str, ...] = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[House]:
    async def answer(request: web.Request) -> web.Response:
        began.release()
        await request.read()
        return web.Response(text="hello")

    began = asyncio.Semaphore(0)

    app = web.Application(middlewares=[watch])
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app, keepalive_timeout=limits.idle_s_max, access_log=None, shutdown_timeout=1)
    await runner.setup()
    assert runner.server is not None
    metrics = Metrics()
    listener = Listener(runner.server, limits, metrics, SystemClock(), proxies)
    try:
        server = await listener.listen("127.0.0.1", 0, tls=tls)
        await server.start_serving()
        here = House(metrics, began, server)
        try:
            yield here
        finally:
            server.close()
            await here.leave()
    finally:
        await runner.cleanup()


async def says_hello(stream: Stream) -> bool:
    reader, writer = stream
    try:
        writer.write(REQUEST)
        head = await reader.readuntil(b"hello")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    return head.startswith(b"HTTP/1.1 200")


async def is_closed(stream: Stream) -> bool:
    """Wait for the other side to hang up."""
    with contextlib.suppress(ConnectionError):
        while await stream[0].read(1024):
            pass
    return True


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", REQUEST[:-1]])
async def test_a_request_that_is_never_finished_ends_at_its_deadline(sent: bytes) -> None:
    async with house(Limits(headers_s_max=0.2)) as here:
        stream = await here.connect()
        stream[1].write(sent)
        assert await is_closed(stream)
        assert here.hangups("headers") == 1
        assert here.open() == 0


async def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_any_other() -> None:
    async with house(Limits(headers_s_max=0.3)) as here:
        reader, writer = await here.connect()
        endless = b"GET / HTTP/1.1\r\nX-A: " + b"a" * 4_000
        with contextlib.suppress(ConnectionError):
            for byte in endless:
                writer.write(bytes([byte]))
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await reader.read(1)
                        break
        assert await is_closed((reader, writer))
        assert here.hangups("headers") == 1


async def test_the_second_request_of_a_connection_has_a_deadline_too() -> None:
    async with house(Limits(idle_s_max=0.2)) as here:
        stream = await here.connect()
        assert await says_hello(stream)
        stream[1].write(REQUEST[:-1])
        assert await is_closed(stream)


async def test_a_good_client_gets_through_a_thousand_connections_from_everywhere() -> None:
    limits = Limits(connections_max=256, address_connections_max=64)
    async with house(limits) as here:
        addresses = [f"127.0.1.{number % 50 + 1}" for number in range(1_000)]
        crowd = [await here.connect(address) for address in addresses]
        crowd[0][1].write(b"GET ")
        for _ in range(5):
            good = await here.connect()
            assert await says_hello(good)
        assert here.open() <= limits.connections_max
        assert here.hangups("full") >= 1_000 - limits.connections_max


async def test_a_thousand_connections_from_one_address_leave_room_for_good_ones() -> None:
    limits = Limits(address_connections_max=64)
    async with house(limits) as here:
        crowd = [await here.connect("127.0.1.1") for _ in range(1_000)]
        assert await says_hello(await here.connect("127.0.1.1"))
        assert await says_hello(await here.connect())
        assert here.open() <= 65
        assert here.hangups("address") == 937
        assert await is_closed(crowd[0])


async def test_an_address_that_keeps_all_its_connections_at_work_gets_no_more() -> None:
    async with house(Limits(address_connections_max=2)) as here:
        for _ in range(2):
            _, writer = await here.connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            await here.began.acquire()
        assert not await says_hello(await here.connect())
        assert await says_hello(await here.connect("127.0.1.1"))


async def test_whoever_is_being_answered_is_not_shown_out() -> None:
    async with house(Limits(connections_max=3)) as here:
        reader, writer = await here.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        await here.began.acquire()
        for _ in range(10):
            assert await says_hello(await here.connect())
        writer.write(b"b")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


async def test_when_all_are_being_answered_the_next_one_is_turned_away() -> None:
    async with house(Limits(connections_max=2)) as here:
        busy = [await here.connect() for _ in range(2)]
        for _, writer in busy:
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            await here.began.acquire()
        assert not await says_hello(await here.connect())
        for reader, writer in busy:
            writer.write(b"b")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


async def test_connections_through_a_proxy_of_ours_are_not_one_address() -> None:
    async with house(Limits(address_connections_max=2), proxies=("127.0.0.1",)) as here:
        streams = [await here.connect() for _ in range(20)]
        assert all([await says_hello(stream) for stream in streams])


async def test_an_old_connection_is_closed_with_its_next_answer() -> None:
    async with house(Limits(connection_s_max=0)) as here:
        stream = await here.connect()
        assert await says_hello(stream)
        assert await is_closed(stream)


async def test_with_tls_it_is_the_same_and_handshakes_that_never_end_are_forgotten(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))
    async with house(Limits(headers_s_max=1.0, connections_max=10), tls=tls) as here:
        mute = [await here.connect() for _ in range(9)]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://127.0.0.1:{here.port}/", ssl=trusting) as response,
        ):
            assert await response.text() == "hello"
        assert all([await is_closed(stream) for stream in mute])
        good = await here.connect(ssl=trusting)
        assert await says_hello(good)


async def test_a_port_that_is_taken_ends_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = Listener(web.Server(lambda _: None), Limits(), Metrics(), SystemClock())  # type: ignore[arg-type]
        with pytest.raises(ConflictError, match="Address already in use"):
            await listener.listen("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(SettingError, match="--port"):
            await listener.listen("192.0.2.1", 0)
