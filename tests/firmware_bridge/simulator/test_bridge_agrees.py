"""The gateway's decoder and the simulator's encoder were written apart; here they meet."""

import msgspec
import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.reading import Quality
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.server import ModbusServer

pytestmark = pytest.mark.slow

MINUTE_US = 60_000_000


async def test_every_reading_of_a_day_equals_the_log(stage, hand_clock, tmp_path):
    log = ValueLog(tmp_path / "log.jsonl")
    server = ModbusServer(stage.panel(hand_clock, log).reply)
    port = await server.listen("127.0.0.1", 0)
    meters = [
        MeterConfig(name="grid", bus="line", unit=1, profile="eastron_sdm630"),
        MeterConfig(name="solar", bus="line", unit=2, profile="carlo_gavazzi_em340"),
    ]
    bridge = Bridge([BusConfig(name="line", url=f"tcp://127.0.0.1:{port}")], meters, hand_clock)
    readings = []
    for _ in range(96):
        hand_clock.at_us += 15 * MINUTE_US
        if hand_clock.at_us == stage.faults[2].from_us:
            continue  # silence is the bridge's own test
        readings += await bridge.sweep(hand_clock.utc_us(), 5.0)
    await bridge.close()
    server.close()
    log.close()

    given = {}
    for line in map(msgspec.json.decode, (tmp_path / "log.jsonl").read_bytes().splitlines()):
        for measurand, value in line.get("values", {}).items():
            given[line["at_us"], line["meter"], measurand] = value
    assert len(readings) == 95 * len(bridge.series)
    for reading in readings:
        assert reading.quality != Quality.MISSING, reading
        wanted = given.pop((reading.at_us, reading.meter, reading.measurand))
        assert abs(reading.value - wanted) <= 1e-9 * max(1.0, abs(wanted)), reading
    assert given == {}
