"""What dead meters cost the healthy ones: ten meters behind one TCP connection, and on one 115200 line.

Each line is swept once a second for two minutes, its first ten seconds included; a meter that is dead says
nothing, and the time-out is a second. The value is what the worst healthy meter has of the full reads
that it has on the same line without a fault; the baseline is the same of the naive loop in this run.
All lines run side by side in one process each, so that they share a machine but not an event loop.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import SystemClock
from firmware_bridge.config import BusConfig
from firmware_bridge.reading import US_PER_S, Quality, UtcUs
from tests.bench.naive import NaiveLoop, OverError
from tests.bench.rig import ADDRESSES, MAPS, meters, rig

UNITS = range(1, 11)
RUN_S = 120
PERIOD_S = 1.0
TIMEOUT_S = 1.0
BAUD = 115_200
WIRES = {"tcp": {"kind": "tcp"}, "rtu": {"kind": "serial", "link": "line", "baud": BAUD}}
# In the middle of the line: those before and after it are looked at.
DEAD = {"one": (5,), "three": (2, 5, 9)}
# When a dead meter returns: its rests are at their longest by then.
RETURN_AT_S = 60.0

Figure = tuple[str, float, str, float | None]


@dataclass(frozen=True, slots=True)
class Run:
    """One line, who reads it, and which meters on it are dead."""

    wire: str
    is_naive: bool
    dead: tuple[int, ...] = ()
    returns_at_s: float | None = None


def bench() -> Iterator[Figure]:
    runs = [
        Run(wire, is_naive, dead) for wire in WIRES for is_naive in (False, True) for dead in ((), *DEAD.values())
    ]
    recovery = Run("rtu", False, DEAD["one"], RETURN_AT_S)
    with ProcessPoolExecutor(len(runs) + 1, mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = dict(zip([*runs, recovery], pool.map(carry_out, [*runs, recovery]), strict=True))
    for number, dead in DEAD.items():
        for wire in WIRES:
            ours, naive = (
                _worst_share(outcomes[Run(wire, is_naive)], outcomes[Run(wire, is_naive, dead)], dead)
                for is_naive in (False, True)
            )
            yield f"fairness.{number}_dead_of_ten_{wire}", round(ours, 4), "1", round(naive, 4)
    read_at_s = outcomes[recovery].read_at_s[DEAD["one"][0]]
    yield (
        "fairness.recovery_s",
        round(min(at_s for at_s in read_at_s if at_s > RETURN_AT_S) - RETURN_AT_S, 1),
        "s",
        None,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """Full reads of each meter, and when they were, seconds from the start."""

    full_reads: dict[int, int]
    read_at_s: dict[int, list[float]]


def carry_out(run: Run) -> Outcome:
    """Sweep the line once a second; an optional return of the dead happens at the other end."""
    faults = [{"kind": "silence", "unit": unit} for unit in run.dead]
    with rig(UNITS, {"name": "line", **WIRES[run.wire]}) as running:
        for fault in faults:
            limits = {} if run.returns_at_s is None else {"for_s": run.returns_at_s}
            running.do(do="inject", line="line", fault=fault | limits)
        url = running.urls["line"]
        return asyncio.run(_naive(url) if run.is_naive else _ours(url))


async def _ours(url: str) -> Outcome:
    bus = BusConfig("line", url, TIMEOUT_S, baud=BAUD)
    bridge = Bridge([bus], meters(UNITS, "line"), SystemClock(), [MAPS])
    full_reads: Counter[int] = Counter()
    read_at_s: dict[int, list[float]] = {unit: [] for unit in UNITS}
    began_s = time.monotonic()
    for tick in range(RUN_S):
        readings = await bridge.sweep(UtcUs(tick * US_PER_S), PERIOD_S * 0.8)
        now_s = time.monotonic() - began_s
        for unit in UNITS:
            mine = [reading for reading in readings if reading.meter == f"m{unit}"]
            if all(reading.quality is not Quality.MISSING for reading in mine):
                full_reads[unit] += 1
                read_at_s[unit].append(now_s)
        await asyncio.sleep(max(began_s + (tick + 1) * PERIOD_S - time.monotonic(), 0))
    await bridge.close()
    return Outcome(dict(full_reads), read_at_s)


async def _naive(url: str) -> Outcome:
    if url.startswith("tcp://"):
        host, _, port = url.removeprefix("tcp://").rpartition(":")
        client = AsyncModbusTcpClient(host, port=int(port), timeout=TIMEOUT_S, retries=0)
    else:
        client = AsyncModbusSerialClient(url.removeprefix("serial://"), baudrate=BAUD, timeout=TIMEOUT_S, retries=0)
    await client.connect()
    end_s = time.monotonic() + RUN_S
    loop = NaiveLoop(client, UNITS, ADDRESSES, lambda: time.monotonic() >= end_s)
    with suppress(OverError):
        while True:
            next_s = time.monotonic() + PERIOD_S
            await loop.sweep()
            await asyncio.sleep(max(next_s - time.monotonic(), 0))
    client.close()
    return Outcome(loop.full_reads, {})


def _worst_share(sound: Outcome, faulty: Outcome, dead: Sequence[int]) -> float:
    healthy = [unit for unit in UNITS if unit not in dead]
    return min(faulty.full_reads.get(unit, 0) / max(sound.full_reads.get(unit, 0), 1) for unit in healthy)
