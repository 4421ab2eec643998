"""A backlog of three days goes home while the gateway goes on reading ten meters of twenty values once a second.

The meters are simulated ones on TCP, the gateway is the production program in a process of its own on a store that
holds 4,320 blocks, the cloud is `smartwatts-trainer ingest` on embedded PostgreSQL; all on this machine. The gateway
reads for a while before it is enrolled: what a tick is late then is the baseline. Once it is, the backlog drains;
that takes seconds, so it is done several times: the cloud forgets what it got, and asks for it again.

Uploads come every few seconds here and not every five minutes: a drain begins with one, and does not wait for others.
Rows are counted in PostgreSQL, from the first batch to the last one by their time of arrival there. How late a tick
is taken by the loop itself, when it begins with one.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import psycopg

from cloud_trainer.embedded import EmbeddedPostgres
from cloud_trainer.ingest.migrate import migrate
from cloud_trainer.ingest.server_key import ServerKeys
from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs, floor_us
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, ReadingsBlock
from gateway.contract.signatures import key_id
from gateway.shell.store import Store
from tests.bench.ingest import ingest_program
from tests.bench.rig import MAPS, PROFILE, rig
from tests.sim.enrolled import enrol

METERS, HOURS = 10, 72
PERIOD_US = 60 * US_PER_S
BLOCKS = HOURS * 60
GATEWAY = "gw-drain"
WARM_UP_S, BASELINE_S = 10, 60
ROUNDS = 5
DRAIN_S_MAX = 600
_APPENDED = 60

CONFIG = """\
profiles = {maps}
[site]
gateway_id = "{gateway}"
time_zone = "Africa/Lagos"
[store]
folder = {folder}
[page]
port = 0
[sync]
url = "{url}"
period_s = 2
[[bus]]
name = "b"
url = "{bus}"
"""
ARRIVED = """
WITH backlog AS (SELECT sequence, received_at FROM record WHERE kind = 'readings' ORDER BY sequence LIMIT %s),
ends AS (SELECT min(received_at) AS began, max(received_at) AS ended FROM backlog)
SELECT count(*), extract(epoch FROM began) * 1e6, extract(epoch FROM ended) * 1e6
FROM ends, backlog JOIN reading_row USING (sequence) WHERE received_at > began GROUP BY began, ended
"""
FORGOTTEN = "record, block, reading_row, rollup_15min, raw_window, status, anomaly, decision, forecast, model_report"
METER = """
[[meter]]
name = "m{unit}"
bus = "b"
unit = {unit}
profile = "{profile}"
role = "{role}"
"""


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dsn = stack.enter_context(EmbeddedPostgres(folder / "postgresql"))
        with psycopg.connect(dsn) as connection:
            migrate(connection)
        keys = ServerKeys.open(folder / "keys", SystemClock().utc_us())
        url = stack.enter_context(ingest_program(folder, dsn, 1))
        meters = stack.enter_context(rig(range(1, METERS + 1), {"name": "b", "kind": "tcp"}))
        config, log = configured(folder, url, meters.urls["b"]), folder / "lateness"
        subprocess.run([sys.executable, "-m", "tests.bench.drain", "fill", str(folder / "data")], check=True)
        command = [sys.executable, "-m", "tests.bench.drain", "run", str(config), str(log)]
        with (folder / "log").open("wb") as said, subprocess.Popen(command, stderr=said) as gateway:
            try:
                wait(gateway, lambda: len(lateness(log)) >= WARM_UP_S + BASELINE_S)
                quiet = [late_ms for _, late_ms in lateness(log)[WARM_UP_S:]]
                take_in(dsn, enrol(folder / "data", GATEWAY, url, keys.public[0]))
                drains = [drained(gateway, dsn) for _ in range(ROUNDS)]
            finally:
                if gateway.poll() is not None:
                    print((folder / "log").read_text(), file=sys.stderr)
                gateway.terminate()
        ticks = lateness(log)
    busy = [late_ms for tick_us, late_ms in ticks if any(one.began_us <= tick_us <= one.ended_us for one in drains)]
    rates = sorted(round(one.rows / (one.ended_us - one.began_us) * US_PER_S) for one in drains)
    about: dict[str, Any] = {"rows": [one.rows for one in drains], "rates": rates}
    about |= {"ticks": len(busy), "baseline_ticks": len(quiet)}
    about |= {"median_ms": round(median(busy), 2), "baseline_median_ms": round(median(quiet), 2)}
    about |= {"worst_ms": round(max(busy), 2), "baseline_worst_ms": round(max(quiet), 2)}
    print(json.dumps(about), file=sys.stderr)
    yield "drain.readings_per_s", median(rates), "1/s", None
    yield "drain.tick_lateness_ms_p99", p99(busy), "ms", p99(quiet)


def p99(late_ms: list[float]) -> float:
    return round(float(np.percentile(late_ms, 99)), 2)


def wait(gateway: subprocess.Popen[bytes], is_so: Any) -> None:
    end_s = time.monotonic() + DRAIN_S_MAX
    while not is_so():
        assert gateway.poll() is None, "the gateway has ended"
        assert time.monotonic() < end_s, "it takes too long"
        time.sleep(0.5)


def configured(folder: Path, url: str, bus: str) -> Path:
    text = CONFIG.format(
        maps=json.dumps(str(MAPS)), gateway=GATEWAY, folder=json.dumps(str(folder / "data")), url=url, bus=bus
    )
    for unit in range(1, METERS + 1):
        role = {1: "grid", 2: "solar"}.get(unit, "load")
        text += METER.format(unit=unit, profile=PROFILE, role=role)
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def lateness(log: Path) -> list[tuple[int, float]]:
    """Each tick, and how many milliseconds late it began; the last line may be half a one."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [(int(tick_us), float(late_ms)) for tick_us, late_ms in (line.split() for line in lines)]


def take_in(dsn: str, public: bytes) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO gateway VALUES (%s, 'default', 'default')", (GATEWAY,))
        connection.execute(
            "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES (%s, %s, %s)",
            (GATEWAY, key_id(public), public),
        )


def records(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM record WHERE kind = 'readings'").fetchone()
    assert row is not None
    return int(row[0])


class Drain(NamedTuple):
    """Rows that came after the first batch; when that came, and the last one of the backlog."""

    rows: int
    began_us: int
    ended_us: int


def drained(gateway: subprocess.Popen[bytes], dsn: str) -> Drain:
    """All of the backlog comes; then the cloud forgets it, as if it were put back from a backup: it comes again."""
    wait(gateway, lambda: records(dsn) >= BLOCKS)
    with psycopg.connect(dsn) as connection:
        row = connection.execute(ARRIVED, (BLOCKS,)).fetchone()
        connection.execute("UPDATE generation SET last_sequence = 0")  # first, as whoever stores a batch does
        connection.execute(f"TRUNCATE {FORGOTTEN}")
    assert row is not None
    return Drain(*(int(one) for one in row))


# --- the processes beside -----------------------------------------------------------------------------


async def fill(folder: Path) -> None:
    """Three days until now, as ten meters would have left them."""
    clock, chance = SystemClock(), np.random.default_rng(1)
    measurands = [register.measurand for register in load_profile(PROFILE, (MAPS,)).registers]
    series = [Series(MeterId(f"m{unit}"), one) for unit in range(1, METERS + 1) for one in measurands]
    levels = chance.uniform(100, 2_000, len(series))
    store = await Store.open(folder, clock.utc_us())
    first_us = floor_us(clock.utc_us(), PERIOD_US) - BLOCKS * PERIOD_US
    for begin in range(0, BLOCKS, _APPENDED):
        starts = [UtcUs(first_us + number * PERIOD_US) for number in range(begin, begin + _APPENDED)]
        blocks = []
        for start_us in starts:
            levels += chance.normal(0, 5, len(series))
            blocks.append(minute(start_us, series, levels, chance.uniform(0, 20, (2, len(series)))))
        await store.append(blocks, UtcUs(starts[-1] + PERIOD_US))
    await store.close()


def minute(start_us: UtcUs, series: list[Series], means: np.ndarray, spread: np.ndarray) -> ReadingsBlock:
    columns = zip(series, means.tolist(), *spread.tolist(), strict=True)
    aggregates = [Aggregate(one, mean, mean - low, mean + high, 60, Quality.GOOD) for one, mean, low, high in columns]
    last_us = UtcUs(start_us + PERIOD_US - US_PER_S)
    return pack_block(aggregates, start_us=start_us, period_us=PERIOD_US, first_us=start_us, last_us=last_us)


def run(config: str, log: Path) -> int:
    """The production gateway, whose loop writes down how late each tick is."""
    from gateway import __main__ as program
    from gateway import app

    class MeasuredLoop(app.Loop):
        def _note_lateness(self, tick_us: UtcUs) -> None:
            super()._note_lateness(tick_us)
            with log.open("a") as lines:
                lines.write(f"{tick_us} {(self._clock.utc_us() - tick_us) / 1000:.3f}\n")

    app.Loop = MeasuredLoop  # type: ignore[misc]
    return program.main(["run", "--config", config])


def main(arguments: list[str]) -> int:
    if arguments[0] == "run":
        return run(arguments[1], Path(arguments[2]))
    import asyncio

    asyncio.run(fill(Path(arguments[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
