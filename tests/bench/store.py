"""What is written to the card, everything counted: ten meters of twenty values, read once a second.

The production loop lives six hours of the simulator's values on a store that is a week old and knows of a cloud:
checkpoints, sync marks, deletions, decisions, forecasts by the models and their baselines, the state of counters and
what forecasts have learnt are all in it. It runs in a child process, whose growth of `wchar` in /proc/self/io is the
figure: what the process hands to the kernel. `write_bytes`, what the kernel hands to the disk, depends on the file
system and is printed beside.

Baseline: one commit per reading, with the same journal and the same durability.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import Clock
from firmware_bridge.config import MeterConfig
from firmware_bridge.reading import US_PER_S, Reading, UtcUs
from firmware_bridge.sheet import Sheet
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage
from gateway import config as settings
from gateway.contract.batches import BATCH_BYTES_MAX, BATCH_RECORDS_MAX
from gateway.contract.records import restamp
from gateway.core.grid import GridRow, RecordingPeriod
from gateway.core.raw_ring import RawRing
from gateway.loop import Loop
from gateway.shell.bundle_files import FACTORY, ActiveBundle
from gateway.shell.counter_file import PERIOD_S as COUNTERS_S
from gateway.shell.counter_file import CounterFile
from gateway.shell.database import Database, connect_sqlite
from gateway.shell.inference import Inference
from gateway.shell.recorder import Recorder
from gateway.shell.store import PRUNE_PERIOD_S, Store
from gateway.shell.store_folder import FILE_NAME
from gateway.shell.timekeeper import Timekeeper
from gateway.shell.track_file import PERIOD_S as TRACKS_S
from gateway.shell.track_file import TrackFile
from gateway.shell.verified_bundle import read_bundle
from tests.bench.rig import MAPS, PROFILE, VALUES
from tests.sim.clock import SimClock

METERS = 10
HOURS = 6
SERIES = METERS * VALUES
# Monday morning: the sun rises, people get up, loads switch.
START = "2026-01-05T05:00:00Z"
START_US = 1_767_589_200_000_000
DAY_S = 86_400
SYNC_S = 300
KINDS = frozenset(["readings", "raw", "forecast", "anomaly", "decision", "model_report", "status"])
# One commit per reading takes ten milliseconds on a card: so many tell what each costs.
BASELINE_READINGS = 20_000
# A shorter loss window is looked at for an hour: the bytes of each hour are the same.
WINDOW_HOURS = 1
WINDOWS_S = (60, 30, 10, 1)

CONFIG = """\
[site]
gateway_id = "bench"
time_zone = "Africa/Lagos"
[record]
recording_period_s = {period_s}
raw = "{raw}"
[store]
folder = {folder}
# What falls out of the store is the same after a week as after five, and takes a fifth of the time to fill.
keep_acknowledged_days = 7
keep_forecasts_days = 7
[[bus]]
name = "b"
url = "tcp://127.0.0.1:1"
"""
METER = """
[[meter]]
name = "m{unit}"
bus = "b"
unit = {unit}
profile = "{profile}"
role = "{role}"
"""


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    with tempfile.TemporaryDirectory() as folder:
        values = simulated(Path(folder), HOURS)
        baseline = run(folder, commit_each=BASELINE_READINGS)["bytes_per_value"]
        ours = run(folder, values=str(values), hours=HOURS)
        raw = run(folder, values=str(values), hours=HOURS, raw="all")
        for one in (ours, raw):
            print(json.dumps(one), file=sys.stderr)
    yield "store.bytes_per_polled_value", ours["bytes_per_value"], "B", baseline
    yield "store.raw_bytes_per_polled_value", raw["bytes_per_value"], "B", baseline
    yield "store.mb_per_day", ours["mb_per_day"], "MB", round(baseline * SERIES * DAY_S / 1e6, 1)
    yield "store.commits_per_minute", ours["commits_per_minute"], "1/min", SERIES * 60


def loss_window() -> Iterator[tuple[str, float, str, float | None]]:
    """What a power cut may take, against what is written: the baseline is the default."""
    default = None
    with tempfile.TemporaryDirectory() as folder:
        values = simulated(Path(folder), WINDOW_HOURS)
        for period_s in WINDOWS_S:
            plan = {"hours": WINDOW_HOURS, "period_s": period_s, "short": True}
            mb = run(folder, values=str(values), **plan)["mb_per_day"]
            default = mb if default is None else default
            yield f"store.mb_per_day_losing_{period_s}_s", mb, "MB", default


def run(folder: str, **plan: Any) -> dict[str, float]:
    """What a child process says of it."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        command = [sys.executable, "-m", "tests.bench.store", json.dumps(plan | {"folder": own})]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def simulated(folder: Path, hours: int) -> Path:
    """What the meters show second by second, `[seconds, series]`, in a file."""
    (folder / "maps").symlink_to(MAPS)
    lines = ['profiles = "maps"', "[site]", f"start = {START}"]
    for unit in range(1, METERS + 1):
        quantity = {1: "grid", 2: "solar"}.get(unit, "load")
        lines += ["[[meter]]", f'name = "m{unit}"', f"unit = {unit}"]
        lines += [f'profile = "{PROFILE}"', f'quantity = "{quantity}"']
    stage = set_stage(parse_scenario("\n".join(lines)), folder)
    instants = (UtcUs(START_US + second * US_PER_S) for second in range(hours * 3600))
    rows = [[value for meter in stage.meters for value in meter.snapshot(at_us).shown.values()] for at_us in instants]
    path = folder / "values.npy"
    np.save(path, np.array(rows))
    return path


class Playback:
    """The meters without their wires: what the simulator showed, judged as the bridge would."""

    def __init__(self, values: np.ndarray, meters: list[MeterConfig]) -> None:
        self._values = values
        profile = load_profile(PROFILE, (MAPS,))
        self._measurands = [register.measurand for register in profile.registers]
        self._sheets = [Sheet(meter, profile) for meter in meters]
        self.series = [series for sheet in self._sheets for series in sheet.series]

    @property
    def counters(self):
        return {
            series: sheet.counters[series.measurand]
            for sheet in self._sheets
            for series in sheet.series
            if series.measurand in sheet.counters
        }

    async def sweep(self, tick_us: UtcUs, deadline_s: float) -> list[Reading]:
        row = self._values[(tick_us - START_US) // US_PER_S].tolist()
        readings: list[Reading] = []
        for number, sheet in enumerate(self._sheets):
            sheet.expect(self._measurands)
            sheet.put(self._measurands, row[number * VALUES : (number + 1) * VALUES], tick_us)
            readings += sheet.end(tick_us, None)[0]
        return readings


class Commits:
    """Connects as the store does, and counts."""

    def __init__(self) -> None:
        self.count = 0

    async def connect(self, path: Path) -> Database:
        database = await connect_sqlite(path)
        commit = database.commit

        async def counted() -> None:
            self.count += 1
            await commit()

        database.commit = counted  # type: ignore[method-assign]
        return database


async def live(plan: dict[str, Any]) -> dict[str, float]:
    """Hours of production, on the values in a file."""
    folder, hours, raw = Path(plan["folder"]), plan["hours"], plan.get("raw", "none")
    config = configured(folder, plan.get("period_s", 60), raw)
    values = np.load(plan["values"])
    bridge, commits = Playback(values, config.meters), Commits()
    clock = Timekeeper(SimClock(UtcUs(START_US - US_PER_S // 2)))
    await a_past(values, bridge, config, hours if plan.get("short") else None)
    data = Path(config.store.folder)
    store = await Store.open(data, clock.utc_us(), limits=config.store, connect=commits.connect)
    recorder = Recorder(store, clock)
    await recorder.begin()
    inference = Inference(60.0, strike=lambda: 0, on_struck_out=lambda: None)
    await inference.use(ActiveBundle(FACTORY, read_bundle(FACTORY).digest, 0, "factory"))
    services = Services(store, CounterFile(data, bridge, clock), clock, bridge)
    loop = Loop(
        config,
        clock=clock,
        bridge=services,
        store=store,
        recorder=recorder,
        inference=inference,
        alive=lambda: loop.stop() if loop.now.ticks == hours * 3600 else None,
    )
    services.tracks = TrackFile(data, loop.forecaster.tracks, clock)
    await loop.restore()
    commits.count, before, kept_before = 0, written(), records_in(data)
    await loop.run()
    await inference.close()
    await store.close()
    after, kept_after = written(), records_in(data)
    polled = loop.now.ticks * SERIES
    grown = {name: after[name] - before[name] for name in before}
    return {
        "bytes_per_value": round(grown["wchar"] / polled, 3),
        "mb_per_day": round(grown["wchar"] / hours * 24 / 1e6, 2),
        "write_bytes_mb_per_day": round(grown["write_bytes"] / hours * 24 / 1e6, 2),
        "commits_per_minute": round(commits.count / hours / 60, 2),
        "polled_values": polled,
        "records_written": kept_after[0] - kept_before[0],
        "records_deleted": kept_after[0] - kept_after[1] - (kept_before[0] - kept_before[1]),
    }


class Services:
    """The bridge, and beside each sweep what the gateway's services do in their time."""

    def __init__(self, store: Store, counters: CounterFile, clock: Clock, bridge: Playback) -> None:
        self._store, self._counters, self._clock, self._bridge = store, counters, clock, bridge
        self.series = bridge.series
        self.tracks: TrackFile | None = None

    async def sweep(self, tick_us: UtcUs, deadline_s: float) -> list[Reading]:
        second = (tick_us - START_US) // US_PER_S
        if second % SYNC_S == SYNC_S - 1:
            await self._sync()
        if second % COUNTERS_S == COUNTERS_S - 1:
            await self._counters.keep()
        if self.tracks is not None and second % TRACKS_S == TRACKS_S - 1:
            await self.tracks.keep()
        if second % PRUNE_PERIOD_S == PRUNE_PERIOD_S - 1:
            await self._store.prune(tick_us)
        return await self._bridge.sweep(tick_us, deadline_s)

    async def _sync(self) -> None:
        """The cloud takes all that waits, and says so once a batch."""
        while (waiting := await self._store.waiting(KINDS, BATCH_RECORDS_MAX, BATCH_BYTES_MAX)) is not None:
            await self._store.acknowledge(waiting.records[-1].sequence)


def configured(folder: Path, period_s: int, raw: str) -> settings.Config:
    text = CONFIG.format(folder=json.dumps(str(folder / "data")), period_s=period_s, raw=raw)
    for unit in range(1, METERS + 1):
        role = {1: "grid", 2: "solar"}.get(unit, "load")
        text += METER.format(unit=unit, profile=PROFILE, role=role)
    return settings.load(text)


async def a_past(values: np.ndarray, bridge: Playback, config: settings.Config, hours: int | None) -> None:
    """A store with a past that the cloud has: its oldest records fall out of it as the hours pass.

    All of a week, which the model wants to see; or the `hours` alone that will fall out.
    """
    record, keep_us = config.record, config.store.keep_acknowledged_days * DAY_S * US_PER_S
    period_us = record.recording_period_s * US_PER_S
    made = []
    period = RecordingPeriod(bridge.series, period_us=period_us, poll_us=US_PER_S)
    raw = RawRing(bridge.series, keep=record.raw, poll_us=US_PER_S, period_us=period_us)
    for second, row in enumerate(values[: 3600 * WINDOW_HOURS]):
        tick = GridRow(UtcUs(START_US + second * US_PER_S), row, np.zeros(SERIES, dtype=np.uint8))
        records = [*raw.add(tick, []), *(closed.block for closed in period.add(tick))]
        if records:
            made.append(records)
    store = await Store.open(Path(config.store.folder), UtcUs(START_US - keep_us))
    first_us = START_US - keep_us - 3600 * US_PER_S
    end_us = START_US if hours is None else first_us + (hours + 1) * 3600 * US_PER_S
    for at_us in range(first_us, end_us, period_us):
        records = made[at_us // period_us % len(made)]
        moved = [restamp(one, at_us - START_US - at_us // period_us % len(made) * period_us) for one in records]
        await store.append(moved, UtcUs(at_us + period_us))
    while (waiting := await store.waiting(KINDS, BATCH_RECORDS_MAX, BATCH_BYTES_MAX)) is not None:
        await store.acknowledge(waiting.records[-1].sequence)
    await store.prune(UtcUs(START_US))
    await store.close()


def commit_each(folder: Path, readings: int) -> dict[str, float]:
    """The same values as rows, one commit each."""
    before = written()
    connection = sqlite3.connect(folder / "bare.sqlite")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE reading (tick_us INTEGER, series INTEGER, value REAL)")
    for number in range(readings):
        row = (START_US + number // SERIES * US_PER_S, number % SERIES, number * 7919 % 5000 / 10)
        connection.execute("INSERT INTO reading VALUES (?, ?, ?)", row)
        connection.commit()
    connection.close()
    return {"bytes_per_value": round((written()["wchar"] - before["wchar"]) / readings, 1)}


def records_in(folder: Path) -> tuple[int, int]:
    """How many records were ever written, and how many are there."""
    connection = sqlite3.connect(folder / FILE_NAME)
    ((last, count),) = connection.execute("SELECT max(sequence), count(*) FROM record").fetchall()
    connection.close()
    return last, count


def written() -> dict[str, int]:
    """What this process has handed to the kernel, and the kernel to the disk."""
    lines = (line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return {name: int(count) for name, count in lines if name in ("wchar", "write_bytes")}


def main(plan: dict[str, Any]) -> dict[str, float]:
    if "commit_each" in plan:
        return commit_each(Path(plan["folder"]), plan["commit_each"])
    return asyncio.run(live(plan))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
