"""What devices send by themselves comes out of their lines."""

import asyncio

import pytest

from firmware_bridge.clock import ScaledClock
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.line_settings import WireFaultSettings
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.speaking import speak_for_ever
from firmware_bridge.simulator.stage import Stage, set_stage
from tests.firmware_bridge.simulator.one_line import ASKED, Master, answered, served

pytestmark = pytest.mark.slow

SERIAL = {"kind": "serial", "link": "rs485", "baud": 115200}
SENSOR = """
[site]
start = 2026-01-05T00:00:00Z
[[meter]]
name = "air"
unit = 2
profile = "serial_sensor"
quantity = "sensor"
period_s = 10
"""


@pytest.fixture
def stage(tmp_path) -> Stage:
    return set_stage(parse_scenario(SENSOR), tmp_path)


async def test_a_master_hears_every_frame_in_turn(stage, tmp_path):
    clock = ScaledClock.create(tmp_path / "origin", start_us=stage.start_us, rate=100.0)
    (sender,) = stage.senders(ValueLog(None))
    (meter,) = stage.sending_meters
    async with served(tmp_path, **SERIAL) as line, asyncio.TaskGroup() as tasks:
        master = Master(tmp_path / "rs485", 115200)
        speaking = tasks.create_task(speak_for_ever(sender, [line], clock))
        heard = [await one_frame(master) for _ in range(3)]
        speaking.cancel()
        master.close()
    told = [meter.telegram(UtcUs(stage.start_us + step * 10_000_000)).data for step in range(1, 200)]
    places = [told.index(one) for one in heard]
    assert places == sorted(set(places))


async def one_frame(master: Master) -> bytes:
    data = b""
    while not data.endswith(b"\0"):
        data += await master.receive(1)
    return data


async def test_the_line_may_lose_what_was_sent(stage, tmp_path):
    silence = WireFaultSettings(kind="silence", every=2)
    async with served(tmp_path, silence, **SERIAL) as line:
        master = Master(tmp_path / "rs485", 115200)
        for data in (b"one", b"two", b"three"):
            await line.speak(2, data)
        await line.speak(7, b"who hangs on another line")
        assert await master.receive(8) == b"onethree"
        master.close()


async def test_a_line_of_the_network_carries_it_to_everybody(stage, tmp_path):
    async with served(tmp_path, kind="tcp", baud=115200) as line:
        host, port = line.url.removeprefix("tcp://").split(":")
        clients = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        for reader, writer in clients:  # who was answered is connected
            writer.write(bytes.fromhex("0001 0000 0006 01") + ASKED)
            await reader.readexactly(7 + len(answered(1)))
        await line.speak(2, b"telegram")
        assert [await reader.readexactly(8) for reader, _ in clients] == [b"telegram"] * 2
        for _, writer in clients:
            writer.close()
