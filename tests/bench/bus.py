"""How much of the wire a sweep takes, and how much of the wire's time is used.

On Modbus TCP at zero delay: ten meters of 20 values, ours beside the naive loop of the same run, which
asks for each value by a request of its own. On a serial line that a process of its own paces byte by
byte: what of the time the wire was busy, bytes and the silences that the protocol demands; a figure
above 1 would be an error of the measurement.
"""

import asyncio
import time
from collections.abc import Iterator
from statistics import median

from pymodbus.client import AsyncModbusTcpClient

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import SystemClock
from firmware_bridge.config import BusConfig
from firmware_bridge.reading import Quality, UtcUs
from firmware_bridge.transport import ModbusLine
from tests.bench.naive import NaiveLoop
from tests.bench.rig import ADDRESSES, MAPS, VALUES, Rig, meters, rig

UNITS = range(1, 11)
# Sweeps of Modbus TCP: ours are short, so more of them make a figure; slow registers fall due among them.
ROUNDS = 5
SWEEPS = 100
NAIVE_SWEEPS = 5
# Seconds of traffic on each paced line.
PACED_S = 6.0
BAUDS = (9600, 19_200, 115_200)
SHORT_REGISTERS = 2

Figure = tuple[str, float, str, float | None]


def bench() -> Iterator[Figure]:
    lines = [{"name": f"at{baud}", "kind": "serial", "link": f"at{baud}", "baud": baud} for baud in BAUDS]
    with rig(UNITS, {"name": "net", "kind": "tcp"}, *lines) as running:
        yield from asyncio.run(_on_tcp(running))
        for baud in BAUDS:
            rounds = [asyncio.run(_whole_blocks(running, baud)) for _ in range(ROUNDS)]
            yield f"bus.efficiency_{baud}", round(_checked(median(rounds)), 4), "1", None
        rounds = [asyncio.run(_short_reads(running, BAUDS[-1])) for _ in range(ROUNDS)]
        yield f"bus.efficiency_{BAUDS[-1]}_short", round(_checked(median(rounds)), 4), "1", None


async def _on_tcp(running: Rig) -> list[Figure]:
    host, _, port = running.urls["net"].removeprefix("tcp://").rpartition(":")
    client = AsyncModbusTcpClient(host, port=int(port), timeout=1, retries=0)
    await client.connect()
    naive = NaiveLoop(client, UNITS, ADDRESSES)
    bridge = _bridge(BusConfig("net", running.urls["net"]))
    await bridge.sweep(UtcUs(0), 5.0)
    ours_s, ours_cpu_s, naive_s, naive_cpu_s = [], [], [], []
    running.do(do="reset_counts", line="net")
    for number in range(ROUNDS):
        at_s, cpu_s = time.perf_counter(), time.process_time()
        for sweep in range(SWEEPS):
            tick_us = UtcUs((number * SWEEPS + sweep) * 1_000_000)
            readings = await bridge.sweep(tick_us, 5.0)
            assert len(readings) == len(UNITS) * VALUES
            assert all(reading.quality is not Quality.MISSING for reading in readings)
        ours_s.append((time.perf_counter() - at_s) / SWEEPS)
        ours_cpu_s.append((time.process_time() - cpu_s) / SWEEPS)
    requests = running.do(do="counts", line="net")["requests"] / (ROUNDS * SWEEPS)
    for _ in range(ROUNDS):
        at_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(NAIVE_SWEEPS):
            assert len(await naive.sweep()) == len(UNITS) * VALUES
        naive_s.append((time.perf_counter() - at_s) / NAIVE_SWEEPS)
        naive_cpu_s.append((time.process_time() - cpu_s) / NAIVE_SWEEPS)
    client.close()
    await bridge.close()
    values = len(UNITS) * VALUES
    return [
        ("bus.requests_per_sweep", round(requests, 2), "requests", float(values)),
        ("bus.sweep_time", round(median(ours_s) * 1e3, 3), "ms", round(median(naive_s) * 1e3, 3)),
        (
            "bus.cpu_per_value",
            round(median(ours_cpu_s) / values * 1e6, 3),
            "us",
            round(median(naive_cpu_s) / values * 1e6, 3),
        ),
    ]


async def _whole_blocks(running: Rig, baud: int) -> float:
    """Sweeps of all meters, one after another, through the whole bridge."""
    bus = _serial(running, baud)
    bridge = _bridge(bus)
    await bridge.sweep(UtcUs(0), 10.0)
    running.do(do="reset_counts", line=bus.name)
    until_s, sweep = time.perf_counter() + PACED_S, 0
    while time.perf_counter() < until_s:
        sweep += 1
        readings = await bridge.sweep(UtcUs(sweep * 1_000_000), 10.0)
        assert all(reading.quality is not Quality.MISSING for reading in readings)
    await bridge.close()
    return _efficiency(running, bus)


async def _short_reads(running: Rig, baud: int) -> float:
    """Reads of two registers, one after another, through the transport."""
    bus = _serial(running, baud)
    line = ModbusLine(bus)
    await line.read(1, 4, 0, SHORT_REGISTERS, 1.0)
    running.do(do="reset_counts", line=bus.name)
    until_s = time.perf_counter() + PACED_S
    while time.perf_counter() < until_s:
        await line.read(1, 4, 0, SHORT_REGISTERS, 1.0)
    line.close()
    return _efficiency(running, bus)


def _efficiency(running: Rig, bus: BusConfig) -> float:
    """The time that bytes and silences took, of all the time from the first byte to the last silence."""
    counts = running.do(do="counts", line=bus.name)
    assert counts["garbled"] == 0
    return counts["wire_s"] / counts["elapsed_s"]


def _checked(efficiency: float) -> float:
    assert efficiency <= 1.0, "no wire carries more than fits: the measurement is wrong"
    return efficiency


def _serial(running: Rig, baud: int) -> BusConfig:
    return BusConfig(f"at{baud}", running.urls[f"at{baud}"], 1.0, baud=baud)


def _bridge(bus: BusConfig) -> Bridge:
    return Bridge([bus], meters(UNITS, bus.name), SystemClock(), [MAPS])
