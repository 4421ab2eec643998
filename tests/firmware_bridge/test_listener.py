"""A line whose devices send by themselves, over a real terminal and a real socket."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import SystemClock
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.errors import SettingError
from firmware_bridge.listener import REST_LAST_S, Listener
from firmware_bridge.measurand import Measurand
from firmware_bridge.meter import Meter
from firmware_bridge.reading import US_PER_S, MonotonicS, Quality, Reading, UtcUs
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.sender import Sender
from firmware_bridge.simulator.stage import set_stage
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.sensor_encoder import json_frame

M = Measurand
# Far above what a busy machine needs.
PATIENCE_S = 20.0
START_US = UtcUs(1_780_000_000_000_000)
UNTIL_S = MonotonicS(1e9)
PROFILES = {"sensor": "serial_sensor", "p1": "dsmr_p1", "sml": "sml_meter"}
SCENARIO = """
[site]
start = 2026-05-28T20:26:40Z
outages_per_week = 0
[[meter]]
name = "dsmr"
unit = 1
profile = "dsmr_p1"
quantity = "grid"
[[meter]]
name = "ehz"
unit = 2
profile = "sml_meter"
quantity = "grid"
[[meter]]
name = "air"
unit = 7
profile = "serial_sensor"
quantity = "sensor"
"""


class HandClock:
    """Time that stands where it was set."""

    rate = 1.0

    def __init__(self) -> None:
        self.now_s = 0.0

    def utc_us(self) -> UtcUs:
        return UtcUs(START_US + round(self.now_s * US_PER_S))

    def monotonic_s(self) -> MonotonicS:
        return MonotonicS(self.now_s)


@dataclass
class Line:
    """A listener with its meters, and the far end of its wire."""

    listener: Listener
    meters: list[Meter]
    clock: HandClock
    say: Callable[[bytes], None]

    async def sweep(self) -> list[list[Reading]]:
        """One sweep, a second after the last; the row of each meter."""
        self.clock.now_s += 1
        tick_us = self.clock.utc_us()
        await self.listener.sweep(tick_us, UNTIL_S)
        self.listener.end_sweep()
        return [meter.end_sweep(tick_us)[0] for meter in self.meters]

    async def heard(self, data: bytes, place: int = 0) -> dict[M, Reading]:
        """The row of a meter once what was said has reached it; sweeps in vain take no time of the clock."""
        before = self.meters[place].health().reads_ok
        self.say(data)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                row = (await self.sweep())[place]
                if self.meters[place].health().reads_ok > before:
                    return {reading.measurand: reading for reading in row}
                self.clock.now_s -= 1
                await SystemClock().sleep_for(0.001)


def listening(protocol: str, url: str, units: tuple[int, ...] = (1,), **settings: object) -> Line:
    bus = BusConfig("line", url, protocol=protocol, **settings)
    profile = PROFILES[protocol]
    meters = [Meter(MeterConfig(f"m{unit}", "line", unit, profile), load_profile(profile)) for unit in units]
    clock = HandClock()
    return Line(Listener(bus, meters, clock), meters, clock, lambda _: None)


@contextmanager
def on_terminal(protocol: str, units: tuple[int, ...] = (1,)) -> Iterator[Line]:
    """On a pty; what was said before the line is open is lost, as on a real port."""
    master, near = os.openpty()
    tty.setraw(master)
    line = listening(protocol, f"serial://{os.ttyname(near)}", units, baud=115_200)
    line.say = lambda data: os.write(master, data) and None
    try:
        yield line
    finally:
        line.listener.close()
        os.close(near)
        with suppress(OSError):
            os.close(master)


@asynccontextmanager
async def on_adapter(protocol: str) -> AsyncIterator[tuple[Line, asyncio.Queue[asyncio.StreamWriter]]]:
    connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    made = []

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(writer)
        connections.put_nowait(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    line = listening(protocol, f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    line.say = lambda data: made[-1].write(data)
    try:
        yield line, connections
    finally:
        line.listener.close()
        server.close()
        for writer in made:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def values(row: dict[M, Reading]) -> dict[M, float]:
    return {measurand: reading.value for measurand, reading in row.items() if reading.value is not None}


@pytest.mark.parametrize(
    ("protocol", "frame", "expected"),
    [
        ("p1", golden.DSMR_5, {M.VOLTAGE_L1_V: 230.1, M.ACTIVE_POWER_W: -1234.0, M.CURRENT_L3_A: 3.0}),
        ("sml", golden.SML, {M.ACTIVE_POWER_W: -123.4, M.ENERGY_IMPORT_WH: 12_345_678.9}),
        ("sensor", json_frame(id=1, seq=1, temperature_c=21.5), {M.TEMPERATURE_C: 21.5}),
    ],
)
async def test_the_values_of_a_frame_come_with_the_instant_at_which_it_was_there(
    protocol: str, frame: bytes, expected: dict[M, float]
):
    with on_terminal(protocol) as line:
        await line.sweep()
        row = await line.heard(frame)
        shown = values(row)
        assert {one: shown[one] for one in expected} == pytest.approx(expected)
        assert {reading.at_us for reading in row.values() if reading.value is not None} == {line.clock.utc_us()}
        assert len(row) == len(line.meters[0].series)


@pytest.mark.parametrize("name", ["dsmr", "ehz", "air"])
async def test_what_the_simulators_devices_send_is_what_is_read(name: str, tmp_path):
    stage = set_stage(parse_scenario(SCENARIO), tmp_path)
    sender: Sender = next(one for one in stage.senders(ValueLog(None)) if one.name == name)
    meter = next(one for one in stage.sending_meters if one.name == name)
    protocol = {"dsmr": "p1", "ehz": "sml", "air": "sensor"}[name]
    with on_terminal(protocol, (meter.unit,)) as line:
        await line.sweep()
        for second in (10, 20, 30):
            at_us = UtcUs(stage.start_us + second * US_PER_S)
            row = await line.heard(sender.frame(at_us))
            given = {one: value for one, value in meter.telegram(at_us).shown.items() if value is not None}
            assert values(row) == pytest.approx({one: given[one] for one in values(row)})
            assert values(row).keys() == {one.measurand for one in line.meters[0].series} & given.keys()
            line.clock.now_s += 9


async def test_of_several_frames_the_last_counts_and_each_device_of_a_line_gets_its_own():
    with on_terminal("sensor", (1, 2)) as line:
        await line.sweep()
        frames = [json_frame(id=1, seq=seq, temperature_c=20.0 + seq) for seq in (1, 2)]
        other = json_frame(id=2, seq=1, temperature_c=-5.0)
        stranger = json_frame(id=3, seq=1, temperature_c=99.0)
        assert values(await line.heard(other + b"".join(frames) + stranger))[M.TEMPERATURE_C] == 22.0
        assert line.meters[1].health().reads_ok == 1
        assert line.meters[1].serial_number == "2"


async def test_a_frame_may_come_in_pieces_over_several_sweeps():
    with on_terminal("p1") as line:
        await line.sweep()
        half = len(golden.DSMR_5) // 2
        line.say(golden.DSMR_5[:half])
        for _ in range(3):
            (row,) = await line.sweep()
            assert all(reading.value is None for reading in row)
        assert values(await line.heard(golden.DSMR_5[half:]))[M.VOLTAGE_L1_V] == 230.1


async def test_what_was_heard_stands_until_it_is_stale_and_then_the_device_is_silent():
    stale_s = load_profile("serial_sensor").file.stale_s
    with on_terminal("sensor") as line:
        await line.sweep()
        row = await line.heard(json_frame(id=1, seq=1, temperature_c=21.5))
        for _ in range(int(stale_s)):
            (later,) = await line.sweep()
            assert {one.measurand: one for one in later}[M.TEMPERATURE_C] == row[M.TEMPERATURE_C]
        assert line.meters[0].health().silent_since_us is None
        (later,) = await line.sweep()
        assert {reading.quality for reading in later} == {Quality.MISSING}
        health = line.meters[0].health()
        assert health.silent_since_us == line.clock.utc_us()
        assert "not heard: frames came from 1" in health.last_error
        assert values(await line.heard(json_frame(id=1, seq=2, temperature_c=22.0)))[M.TEMPERATURE_C] == 22.0
        assert line.meters[0].health().silent_since_us is None


async def test_who_is_not_heard_is_told_who_was_or_what_was_refused():
    stale_s = load_profile("serial_sensor").file.stale_s
    with on_terminal("sensor", (1, 2)) as line:
        for _ in range(int(stale_s) + 1):
            await line.sweep()
            assert line.meters[0].health().last_error == ""
        await line.sweep()
        assert "not heard: no frame came" in line.meters[0].health().last_error
        await line.heard(json_frame(id=2, seq=1, temperature_c=20.0), place=1)
        assert "not heard: frames came from 2" in line.meters[0].health().last_error
    with on_terminal("p1") as line:
        await line.sweep()
        line.say(golden.DSMR_5.replace(b"230.1", b"230.2"))
        async with asyncio.timeout(PATIENCE_S):
            while "was refused: 1 for" not in line.meters[0].health().last_error:
                await line.sweep()
                await SystemClock().sleep_for(0.001)


async def test_a_line_that_is_not_there_is_tried_less_and_less_often_and_told(tmp_path):
    port = tmp_path / "port"
    line = listening("p1", f"serial://{port}")
    for _ in range(60):
        (row,) = await line.sweep()
        assert {reading.quality for reading in row} == {Quality.MISSING}
    assert "no connection" in line.meters[0].health().last_error
    master, near = os.openpty()
    tty.setraw(master)
    port.symlink_to(os.ttyname(near))
    for _ in range(int(REST_LAST_S) + 1):
        await line.sweep()
    line.say = lambda data: os.write(master, data) and None
    assert values(await line.heard(golden.DSMR_5))[M.VOLTAGE_L1_V] == 230.1
    line.listener.close()
    os.close(near)
    os.close(master)


@pytest.mark.slow
async def test_a_connection_that_ends_is_made_anew():
    async with on_adapter("p1") as (line, connections):
        await line.sweep()
        first = await connections.get()
        assert values(await line.heard(golden.DSMR_5))[M.VOLTAGE_L1_V] == 230.1
        first.close()
        async with asyncio.timeout(PATIENCE_S):
            while connections.empty():
                await line.sweep()
                await SystemClock().sleep_for(0.001)
        assert values(await line.heard(golden.DSMR_5))[M.VOLTAGE_L1_V] == 230.1


def test_an_address_that_cannot_be_one_is_refused():
    with pytest.raises(SettingError, match="is for Modbus"):
        listening("p1", "rtu+tcp://192.168.1.20:4196")
