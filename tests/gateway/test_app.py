"""The whole gateway as a process: it outlives what is away, ends when told, and never hangs half dead."""

import asyncio
import json
import os
import resource
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from firmware_bridge.clock import ScaledClock, SystemClock
from firmware_bridge.errors import Exit
from firmware_bridge.reading import Quality
from firmware_bridge.simulator.server import ModbusServer
from gateway.contract.readings import unpack_block
from gateway.contract.records import ReadingsBlock, Record, StatusRecord, decode_record
from gateway.shell import track_file
from gateway.shell.store import FILE_NAME
from tests.sim.enrolled import enrol
from tests.sim.home import START_US, gateway_text, living_home
from tests.sim.model_hosts import model_hosts
from tests.sim.releases import Publisher

pytestmark = pytest.mark.slow

# What the gateway promises to systemd and to the installer at the mains switch, real seconds.
STOP_S_MAX = 5.0
# For all that has no promise, on a busy machine.
PATIENT_S = 30.0

Status = dict[str, Any]


class Gateway:
    """A running gateway, its log in `folder / "log"`."""

    def __init__(self, folder: Path, process: Process) -> None:
        self._folder, self.process = folder, process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    async def ended(self, within_s: float = PATIENT_S) -> int:
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.ended(within_s=STOP_S_MAX)

    async def page(self) -> int:
        """The port of its page, once it is up."""
        port_file = self._folder / "port"
        async with asyncio.timeout(PATIENT_S):
            while not port_file.exists():
                assert self.process.returncode is None, self.log
                await SystemClock().sleep_for(0.02)
        return int(port_file.read_text())

    async def status_with(self, wanted: Callable[[Status], bool]) -> Status:
        """The first status that is as `wanted`."""
        address = f"http://127.0.0.1:{await self.page()}/status.json"
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENT_S):
            while True:
                async with session.get(address) as answer:
                    status: Status = await answer.json()
                if wanted(status):
                    return status
                await SystemClock().sleep_for(0.02)


def started(status: Status) -> bool:
    return bool(status["tick"]["count"])


@asynccontextmanager
async def a_gateway(
    folder: Path,
    config: str,
    *,
    program: Sequence[str] = ("-m", "gateway"),
    before: Callable[[], None] | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway with the configuration `config`, killed at the end of the block if it still runs."""
    (folder / "site.toml").write_text(config)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, "run"),
            *("--config", folder / "site.toml", "--port-file", folder / "port"),
            stdin=DEVNULL,
            stderr=log,
            preexec_fn=before,
        )
    try:
        yield Gateway(folder, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def each_second(folder: Path, bus_port: int, more: str = "") -> str:
    return gateway_text(folder, bus_port, poll_s=1, recording_s=1, more=more)


def on_clock_of(folder: Path) -> str:
    return f"\n[clock]\norigin = {json.dumps(str(folder / 'clock'))}\n"


@pytest.fixture
def no_meters() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return int(nobody.getsockname()[1])


@asynccontextmanager
async def silent_meters() -> AsyncIterator[int]:
    server = ModbusServer(lambda _: None)
    try:
        yield await server.listen("127.0.0.1", 0)
    finally:
        server.close()


class HangingServer:
    """Takes every connection and request, answers none."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readline()).decode())
        await reader.read()  # until the client gives up
        writer.close()

    async def was_asked_for(self, *parts: str) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not all(any(part in asked for asked in self.asked) for part in parts):
                await SystemClock().sleep_for(0.02)


@asynccontextmanager
async def a_hanging_server() -> AsyncIterator[HangingServer]:
    server = HangingServer()
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


def stored(folder: Path) -> list[Record]:
    with closing(sqlite3.connect(folder / "data" / FILE_NAME)) as file:
        return [decode_record(body) for (body,) in file.execute("SELECT body FROM record ORDER BY sequence")]


def children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def is_gone(pid: int) -> bool:
    """Whether it has ended, or waits only for its new parent to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def all_gone(pids: Sequence[int]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not all(is_gone(pid) for pid in pids):
            await SystemClock().sleep_for(0.02)


async def test_a_gateway_on_its_meters_shows_them_and_ends_in_order(tmp_path):
    async with living_home(tmp_path, rate=600.0) as home:
        config = gateway_text(tmp_path, home.port, more=on_clock_of(tmp_path))
        async with a_gateway(tmp_path, config) as gateway:
            status = await gateway.status_with(lambda status: status["tick"]["count"] > 3)
            hosts = model_hosts(gateway.pid)
            assert await gateway.stop(signal.SIGINT) == Exit.OK, "as on Ctrl-C"
            await all_gone(hosts)
    assert status["power"]["consumption_w"] > 0
    assert [meter["silent_since_us"] for meter in status["bus"]] == [None, None]
    assert status["model"]["origin"] == "factory"
    assert len(hosts) == 1
    assert (tmp_path / "data" / track_file.FILE_NAME).exists(), "what forecasts have learnt is for the next start"
    records = stored(tmp_path)
    events = [record for record in records if isinstance(record, StatusRecord)]
    assert [event.event for event in events] == ["started", "stopped"]
    assert {event.detail for event in events} == {f"bundle {status['model']['bundle']}"}
    blocks = [record for record in records if isinstance(record, ReadingsBlock)]
    assert all(one.quality is not Quality.MISSING for block in blocks for one in unpack_block(block))
    assert "Traceback" not in gateway.log


async def runs_without_meters(folder: Path, bus_port: int) -> None:
    async with a_gateway(folder, each_second(folder, bus_port)) as gateway:
        status = await gateway.status_with(lambda status: all(meter["silent_since_us"] for meter in status["bus"]))
        await gateway.status_with(lambda later: later["tick"]["count"] > status["tick"]["count"])
        assert await gateway.stop() == Exit.OK
    assert all(meter["last_error"] for meter in status["bus"])
    assert status["power"]["consumption_w"] is None
    blocks = [record for record in stored(folder) if isinstance(record, ReadingsBlock)]
    assert len(blocks) >= 2
    assert {one.quality for block in blocks for one in unpack_block(block)} == {Quality.MISSING}
    assert gateway.log.count("meter silent") <= 2, "the change is logged, not the state"


async def test_a_bus_that_is_down_is_no_error_of_the_gateway(tmp_path, no_meters):
    await runs_without_meters(tmp_path, no_meters)


async def test_meters_that_say_nothing_are_no_error_of_the_gateway(tmp_path):
    async with silent_meters() as port:
        await runs_without_meters(tmp_path, port)


async def test_a_second_gateway_on_the_same_folder_is_told_so_and_the_first_runs_on(tmp_path, no_meters):
    config = each_second(tmp_path, no_meters)
    second = tmp_path / "second"
    second.mkdir()
    async with a_gateway(tmp_path, config) as gateway:
        await gateway.status_with(started)
        async with a_gateway(second, config) as late:
            assert await late.ended() == Exit.CONFLICT
        assert "is in use by another gateway" in late.log
        assert "Traceback" not in late.log
        await gateway.status_with(started)
        assert await gateway.stop() == Exit.OK


async def test_it_ends_in_time_although_cloud_updates_model_and_meters_all_hang(tmp_path):
    publisher = Publisher(tmp_path)
    publisher.publish(1)
    (tmp_path / "root.json").write_bytes(publisher.root)
    async with silent_meters() as bus_port, a_hanging_server() as server:
        enrol(tmp_path / "data", "gw-1", f"{server.url}/cloud", bytes(32))
        more = f"""
[sync]
url = "{server.url}/cloud"
period_s = 1
[update]
url = "{server.url}/bundles"
root = {json.dumps(str(tmp_path / "root.json"))}
"""
        async with a_gateway(tmp_path, each_second(tmp_path, bus_port, more)) as gateway:
            await server.was_asked_for("/cloud", "/bundles")
            await gateway.status_with(started)
            family = children(gateway.pid)
            assert len(family) == 2, "the model host and the check"
            (host,) = model_hosts(gateway.pid)
            os.kill(host, signal.SIGSTOP)
            assert await gateway.stop() == Exit.OK
            await all_gone(family)
    assert "Traceback" not in gateway.log
    events = [record.event for record in stored(tmp_path) if isinstance(record, StatusRecord)]
    assert events == ["started", "stopped"]


def a_small_disk() -> None:
    """The store fits on it, and a few records."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))


async def test_a_full_disk_is_told_and_stops_nothing(tmp_path, no_meters):
    ScaledClock.create(tmp_path / "clock", start_us=START_US, rate=20.0)
    config = each_second(tmp_path, no_meters, on_clock_of(tmp_path))
    async with a_gateway(tmp_path, config, before=a_small_disk) as gateway:
        full = await gateway.status_with(lambda status: status["queue"]["card"] != "ok")
        await gateway.status_with(lambda later: later["queue"]["ring_records"] > full["queue"]["ring_records"])
        assert await gateway.stop() == Exit.OK
    assert "card takes no records, they are kept in memory" in gateway.log
    assert stored(tmp_path), "what was on disk still is"


BROKEN_TICK = """
import sys
from gateway import app
from gateway.__main__ import main
from gateway.loop import Loop

class BrokenLoop(Loop):
    async def _tick(self, tick_us):
        await super()._tick(tick_us)
        assert self.now.ticks < 2, "a mistake of a programmer"

app.Loop = BrokenLoop
sys.exit(main())
"""


async def test_a_programmers_mistake_in_the_tick_ends_the_process_too(tmp_path, no_meters):
    config = each_second(tmp_path, no_meters)
    async with a_gateway(tmp_path, config, program=("-c", BROKEN_TICK)) as gateway:
        code = await gateway.ended()
    assert code not in (Exit.OK, Exit.BAD_SETTING)
    assert "a mistake of a programmer" in gateway.log
    assert [record.event for record in stored(tmp_path) if isinstance(record, StatusRecord)] == ["started"]
