"""The server against raw sockets: any bytes, in any pieces, and the log says what went out."""

import asyncio
import socket
import struct
from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.simulator.frames import FRAME_BYTES_MAX
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.map_reader import load_register_map
from firmware_bridge.simulator.server import CONNECTIONS_MAX, WAITING_BYTES_MAX, ModbusServer

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
DEADLINE_S = 5.0
S_US = 1_000_000


def frame(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, address, count)


async def receive(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        head = await reader.readexactly(6)
        return head + await reader.readexactly(int.from_bytes(head[4:6]))


@pytest.fixture
def log_path(tmp_path):
    return tmp_path / "log.jsonl"


@pytest.fixture
async def served(stage, hand_clock, log_path):
    """Port of a running server, and the log behind it."""
    loop, failures = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    log = ValueLog(log_path)
    server = ModbusServer(stage.panel(hand_clock, log).reply)
    yield await server.listen(HOST, 0), log, server
    server.close()
    log.close()
    assert failures == []


async def test_two_requests_in_one_piece_get_two_replies_in_order(served):
    reader, writer = await asyncio.open_connection(HOST, served[0])
    writer.write(frame(1, 1, 4, 0, 2) + frame(2, 2, 4, 0, 2))
    assert [(await receive(reader))[:2] for _ in range(2)] == [b"\0\1", b"\0\2"]
    writer.close()


async def test_a_request_may_come_one_byte_at_a_time(served):
    reader, writer = await asyncio.open_connection(HOST, served[0])
    for byte in frame(7, 1, 4, 0x34, 2):
        writer.write(bytes((byte,)))
        await writer.drain()
    assert (await receive(reader))[:9] == struct.pack(">HHHBBB", 7, 0, 7, 1, 4, 4)
    writer.close()


async def test_a_stream_of_something_else_ends_the_connection_and_nothing_more(served):
    reader, writer = await asyncio.open_connection(HOST, served[0])
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == b""
    writer.close()
    reader, writer = await asyncio.open_connection(HOST, served[0])
    writer.write(frame(1, 1, 4, 0, 2))
    assert await receive(reader)
    writer.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.binary(max_size=80), st.builds(frame, *[st.integers(0, 255)] * 3, *[st.integers(0, 600)] * 2)),
        max_size=6,
    )
)
def test_any_bytes_leave_the_server_alive(stage, hand_clock, pieces):
    async def attack() -> bytes:
        failures: list[dict] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        server = ModbusServer(stage.panel(hand_clock, ValueLog(None)).reply)
        port = await server.listen(HOST, 0)
        reader, writer = await asyncio.open_connection(HOST, port)
        for piece in pieces:
            writer.write(piece)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionResetError):  # it closed with our bytes unread
                await reader.read()
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(frame(5, 1, 4, 0, 2))
        reply = await receive(reader)
        writer.close()
        server.close()
        assert failures == []
        return reply

    assert asyncio.run(attack())[:6] == struct.pack(">HHH", 5, 0, 7)


async def test_connections_have_a_limit(served):
    port, _, server = served
    streams = [await asyncio.open_connection(HOST, port) for _ in range(CONNECTIONS_MAX)]
    for reader, writer in streams:
        writer.write(frame(1, 1, 4, 0, 2))
        await receive(reader)
    reader, writer = await asyncio.open_connection(HOST, port)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)
    assert len(server.connections) == CONNECTIONS_MAX
    for _, one in [*streams, (reader, writer)]:
        one.close()


async def test_a_client_that_asks_much_and_reads_late_gets_every_reply(served):
    port, _, server = served
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(slow, (HOST, port))
    reader, writer = await asyncio.open_connection(sock=slow, limit=4096)
    count = 10_000
    writer.write(b"".join(frame(number, 1, 4, 0, 80) for number in range(count)))
    for number in range(count):
        assert int.from_bytes((await receive(reader))[:2]) == number
        (transport,) = server.connections
        assert transport.get_write_buffer_size() <= WAITING_BYTES_MAX + FRAME_BYTES_MAX
    writer.close()


async def test_a_taken_port_is_named_with_the_next_step(served):
    with pytest.raises(ConflictError, match=rf"--port = {served[0]}: .* 0 for a free one"):
        await ModbusServer(lambda request: None).listen(HOST, served[0])


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_that_cannot_be_is_refused(port):
    with pytest.raises(SettingError, match="--port"):
        await ModbusServer(lambda request: None).listen(HOST, port)


async def test_the_log_equals_what_a_client_read(served, hand_clock, log_path):
    """Decoded here with struct alone, neither by the simulator's encoder nor by the gateway's decoder."""
    port, log, _ = served
    reader, writer = await asyncio.open_connection(HOST, port)
    read: list[tuple[int, str, bytes, int]] = []
    for minute in range(200):
        for meter, unit, address, count in (
            ("grid", 1, 0, 80),
            ("grid", 1, 342, 2),
            ("solar", 2, 0, 50),
            ("solar", 2, 50, 30),
        ):
            hand_clock.at_us += 15 * S_US if minute else 0
            writer.write(frame(minute, unit, 4, address, count))
            reply = await receive(reader)
            if reply[7] == 4:
                read.append((hand_clock.at_us, meter, reply[9:], address))
    writer.close()
    log.flush()
    told = [msgspec.json.decode(line) for line in log_path.read_bytes().splitlines()]
    told = [line for line in told if "values" in line]
    assert len(told) == len(read) == 800
    values = 0
    for line, (at_us, meter, words, address) in zip(told, read, strict=True):
        assert (line["at_us"], line["meter"], line["address"]) == (at_us, meter, address)
        for name, value in line["values"].items():
            assert abs(decoded(meter, name, words, address) - value) <= 1e-12 * max(1.0, abs(value))
            values += 1
    assert values > 6_000


def decoded(meter: str, name: str, words: bytes, address: int) -> float:
    profile = {"grid": "eastron_sdm630", "solar": "carlo_gavazzi_em340"}[meter]
    (register,) = [one for one in load_register_map(profile).registers if one.measurand == name]
    at = 2 * (register.address - address)
    if meter == "grid":
        return struct.unpack_from(">f", words, at)[0] * register.scale
    if register.type.words == 1:
        return struct.unpack_from(">h", words, at)[0] * register.scale
    low, high = struct.unpack_from(">HH", words, at)
    return struct.unpack(">i", struct.pack(">HH", high, low))[0] * register.scale
