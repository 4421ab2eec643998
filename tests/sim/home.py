"""A home with solar in this process: two meters on a real Modbus server, on simulated time of its own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.clock import ScaledClock
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.server import ModbusServer
from firmware_bridge.simulator.stage import set_stage

POLL_S, RECORDING_S = 300, 900
# Faster than any machine: each tick holds the time until its work is done. Not faster than that, for
# time runs free from the making of the clock to the first hold.
RATE = 1e5
START_US = UtcUs(1_767_571_200_000_000)  # 2026-01-05 00:00 UTC

SCENARIO = """\
[site]
seed = 5
start = 2026-01-05T00:00:00Z

[[meter]]
name = "main"
unit = 1
profile = "eastron_sdm630"
quantity = "grid"

[[meter]]
name = "roof"
unit = 2
profile = "carlo_gavazzi_em340"
quantity = "solar"
"""

_GATEWAY = """\
[site]
gateway_id = "gw-1"
time_zone = "Africa/Lagos"

[[bus]]
name = "house"
url = "tcp://127.0.0.1:{bus_port}"
timeout_s = {bus_timeout_s}

[[meter]]
name = "main"
bus = "house"
unit = 1
profile = "eastron_sdm630"
role = "grid"
rated_power_w = 17250

[[meter]]
name = "roof"
bus = "house"
unit = 2
profile = "carlo_gavazzi_em340"
role = "solar"
rated_power_w = 6000

[record]
poll_period_s = {poll_s}
recording_period_s = {recording_s}

[store]
folder = {folder}

[page]
port = 0
"""


@dataclass(frozen=True, slots=True)
class Home:
    """The meters as they stand: where they answer, what time it is there, and what they have given out."""

    port: int
    clock: ScaledClock
    server: ModbusServer
    log_file: Path


def gateway_text(
    folder: Path,
    bus_port: int,
    *,
    poll_s: int = POLL_S,
    recording_s: int = RECORDING_S,
    bus_timeout_s: float = 0.5,
    more: str = "",
) -> str:
    """The configuration of the home's gateway, its data in `folder / "data"`."""
    text = _GATEWAY.format(
        folder=json.dumps(str(folder / "data")),  # JSON's escapes are TOML's
        bus_port=bus_port,
        bus_timeout_s=bus_timeout_s,
        poll_s=poll_s,
        recording_s=recording_s,
    )
    return text + more


@asynccontextmanager
async def living_home(folder: Path, *, rate: float = RATE, scenario: str = SCENARIO) -> AsyncIterator[Home]:
    """The home, its clock in `folder / "clock"`, answering until the block ends."""
    stage = set_stage(parse_scenario(scenario), folder)
    clock = ScaledClock.create(folder / "clock", start_us=stage.start_us, rate=rate)
    # Midnight waits for the gateway.
    clock.hold_before(UtcUs(stage.start_us + 1))
    log_file = folder / "given_out.jsonl"
    log = ValueLog(log_file)
    server = ModbusServer(stage.panel(clock, log).reply)
    port = await server.listen("127.0.0.1", 0)
    try:
        yield Home(port, clock, server, log_file)
    finally:
        server.close()
        log.close()
