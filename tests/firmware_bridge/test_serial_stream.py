import asyncio
import errno
import fcntl
import os
import socket
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_bridge.clock import SystemClock
from firmware_bridge.config import BusConfig
from firmware_bridge.errors import LineError, SettingError
from firmware_bridge.frames.frame import Frame
from firmware_bridge.frames.reader import reader_of
from firmware_bridge.serial_stream import HELD_BYTES_MAX, SerialStream
from tests.firmware_bridge.frames import golden

# Far above what a busy machine needs.
PATIENCE_S = 20.0


@dataclass
class Device:
    """The far end of a pty."""

    path: str
    master: int

    def say(self, data: bytes) -> None:
        os.write(self.master, data)

    def unplug(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@contextmanager
def device() -> Iterator[Device]:
    master, near = os.openpty()
    tty.setraw(master)
    one = Device(os.ttyname(near), master)
    os.close(near)
    try:
        yield one
    finally:
        one.unplug()


@asynccontextmanager
async def adapter() -> AsyncIterator[tuple[str, asyncio.Queue[asyncio.StreamWriter]]]:
    """A TCP adapter: its address, and a connection for each that was made."""
    connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    made = []

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(writer)
        connections.put_nowait(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()
        for writer in made:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def stream_on(url: str, **settings: object) -> SerialStream:
    return SerialStream(BusConfig(name="p1", url=url, protocol="p1", **settings), [])


def on_port(one: Device, **settings: object) -> SerialStream:
    return stream_on(f"serial://{one.path}", **settings)


async def take(stream: SerialStream, count: int) -> bytes:
    """The next `count` bytes at least."""
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(data) < count:
            data += stream.take()
            await SystemClock().sleep_for(0.001)
    return data


async def lost(stream: SerialStream) -> str:
    """How the line tells that it broke."""
    with pytest.raises(LineError) as caught:
        await take(stream, HELD_BYTES_MAX)
    return str(caught.value)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_what_a_device_says_is_taken_in_pieces():
    with device() as meter:
        stream = on_port(meter)
        await stream.open()
        assert stream.is_open
        assert stream.take() == b""
        meter.say(b"abc")
        assert await take(stream, 3) == b"abc"
        meter.say(bytes(range(256)))
        assert await take(stream, 256) == bytes(range(256))
        assert stream.take() == b""
        stream.close()


async def test_what_came_over_tcp_is_taken_in_pieces():
    async with adapter() as (url, connections):
        stream = stream_on(url)
        await stream.open()
        connection = await connections.get()
        for data in (b"abc", bytes(range(256))):
            connection.write(data)
            assert await take(stream, len(data)) == data
        stream.close()


@pytest.mark.parametrize(
    ("protocol", "line"), [("p1", golden.DSMR_5), ("sml", golden.SML), ("sensor", golden.SENSOR_CBOR)]
)
async def test_a_meter_on_a_port_is_read_through_and_through(protocol: str, line: bytes):
    with device() as meter:
        stream, reader, frames = on_port(meter), reader_of(protocol), list[Frame]()
        await stream.open()
        for _ in range(3):
            meter.say(line)
            frames += reader.feed(await take(stream, len(line)))
        stream.close()
    assert len(frames) == 3
    assert not reader.refused


async def test_the_settings_of_the_line_reach_the_port():
    with device() as meter:
        stream = on_port(meter, baud=19200, data_bits=7, parity="E", stop_bits=2)
        await stream.open()
        _, _, cflag, _, speed, _, _ = termios.tcgetattr(meter.master)
        assert speed == termios.B19200
        assert cflag & termios.CSTOPB
        stream.close()


async def test_of_too_much_the_newest_is_kept_and_the_rest_is_counted():
    async with adapter() as (url, connections):
        stream = stream_on(url)
        await stream.open()
        connection = await connections.get()
        sent = bytes(range(256)) * (2 * HELD_BYTES_MAX // 256) + b"the end"
        connection.write(sent)
        connection.close()
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            while stream.is_open:
                await SystemClock().sleep_for(0.001)
        data = stream.take()
        assert data == sent[-HELD_BYTES_MAX:]
        assert stream.dropped_bytes == len(sent) - HELD_BYTES_MAX
        assert "closed by the other side" in await lost(stream)


async def test_an_adapter_that_is_pulled_out_is_lost_after_its_last_words():
    with device() as meter:
        stream = on_port(meter)
        await stream.open()
        meter.say(b"last words")
        assert await take(stream, 10) == b"last words"
        meter.unplug()
        assert "line lost: bus=p1" in await lost(stream)
        assert not stream.is_open
        with pytest.raises(LineError, match=r"no connection: bus=p1 .*no such port: plug the adapter in"):
            await stream.open()


async def test_another_adapter_under_the_same_name_is_opened_again(tmp_path: Path):
    link = tmp_path / "adapter"
    stream = stream_on(f"serial://{link}")
    for words in (b"one", b"two"):
        with device() as meter:
            link.unlink(missing_ok=True)
            link.symlink_to(meter.path)
            await stream.open()
            meter.say(words)
            assert await take(stream, 3) == words
            meter.unplug()
            await lost(stream)


async def test_an_adapter_that_came_back_under_another_name_is_found(tmp_path: Path):
    link = tmp_path / "usb-adapter-port0"
    with device() as before, device() as after:
        link.symlink_to(before.path)
        bus = BusConfig(name="p1", url=f"serial://{before.path}", protocol="p1")
        stream = SerialStream(bus, [tmp_path])
        await stream.open()
        before.unplug()
        await lost(stream)
        link.unlink()
        link.symlink_to(after.path)
        await stream.open()
        after.say(b"again")
        assert await take(stream, 5) == b"again"
        stream.close()


async def test_a_line_can_be_opened_anew_and_forgets_what_was_there():
    async with adapter() as (url, connections):
        stream = stream_on(url)
        await stream.open()
        (await connections.get()).write(b"old")
        await take(stream, 1)
        await stream.open()
        (await connections.get()).write(b"new")
        assert (await take(stream, 3))[-3:] == b"new"
        stream.close()


async def test_a_port_that_another_program_holds_is_told_and_nothing_leaks():
    with device() as meter:
        other = os.open(meter.path, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        stream = on_port(meter)
        before = open_files()
        for _ in range(5):
            with pytest.raises(LineError, match="another program uses the port"):
                await stream.open()
        assert open_files() == before
        os.close(other)
        await stream.open()
        meter.say(b"mine")
        assert await take(stream, 4) == b"mine"
        stream.close()
        assert open_files() == before - 1


async def test_a_closed_port_is_free_for_the_next(tmp_path: Path):
    with device() as meter:
        for _ in range(3):
            stream = on_port(meter, parity="E")
            await stream.open()
            stream.close()


async def test_what_is_no_serial_port_is_refused_and_nothing_leaks(tmp_path: Path):
    plain = tmp_path / "file"
    plain.write_bytes(b"x")
    for path in (plain, tmp_path, tmp_path / "gone", Path("/dev/null")):
        stream = stream_on(f"serial://{path}")
        before = open_files()
        with pytest.raises(LineError, match=r"no connection: bus=p1"):
            await stream.open()
        assert open_files() == before
        assert not stream.is_open


async def test_an_adapter_that_refuses_is_told_and_nothing_leaks():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        stream = stream_on(f"tcp://127.0.0.1:{unheard.getsockname()[1]}")
        before = open_files()
        for _ in range(5):
            with pytest.raises(LineError, match=r"no connection: bus=p1 .* reason=nobody listens there"):
                await stream.open()
        assert open_files() == before


async def test_an_adapter_that_does_not_answer_is_told_in_time():
    """A listener whose queue is full answers nobody."""
    with socket.socket() as busy, socket.socket() as first, socket.socket() as second:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for one in (first, second):
            one.setblocking(False)
            assert one.connect_ex(busy.getsockname()) in (0, errno.EINPROGRESS)
        stream = stream_on(f"tcp://127.0.0.1:{busy.getsockname()[1]}", timeout_s=0.2)
        with pytest.raises(LineError, match="no answer"):
            await stream.open()


async def test_a_line_that_is_not_open_says_so():
    stream = stream_on("tcp://127.0.0.1:9")
    with pytest.raises(LineError, match="line lost: bus=p1 reason=not open"):
        stream.take()
    stream.close()


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "tcp://127.0.0.1:70000", f"tcp://{'x' * 64}:1"])
def test_an_address_that_cannot_be_one(url: str):
    with pytest.raises(SettingError, match="is no address"):
        stream_on(url)


def test_an_address_for_modbus():
    with pytest.raises(SettingError, match=r"bus\.p1\.url = 'rtu\+tcp://x:1': is for Modbus.*write tcp://x:1"):
        stream_on("rtu+tcp://x:1")
