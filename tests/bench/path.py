"""What a reading costs, from decoded registers to the committed block, at default settings.

Ours: Readings are made from decoded values, aligned, judged by the rules, summed up, packed and
committed, one block a minute. Baseline: the same values as rows of a bare sqlite3 batch insert, one
commit a minute, with the same journal and the same durability. CPU time of the process, all threads.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import MeterConfig
from firmware_bridge.poll_plan import plan
from firmware_bridge.reading import MeterId, Quality, Reading, Series, UtcUs
from gateway.config import RecordConfig
from gateway.core.anomaly import AnomalyRules
from gateway.core.grid import RecordingPeriod, align
from gateway.core.site import Site
from gateway.shell.store import Store

METERS = 10
MINUTES = 10
ROUNDS = 5
PROFILE = "eastron_sdm630"


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    defaults = RecordConfig()
    meters = [
        MeterConfig(name=f"meter{unit}", bus="b", unit=unit, profile=PROFILE, role="load")
        for unit in range(1, METERS + 1)
    ]
    measurands = [register.measurand for block in plan(load_profile(PROFILE)) for register in block.registers]
    series = [Series(MeterId(meter.name), measurand) for meter in meters for measurand in measurands]
    polls = MINUTES * 60 // defaults.poll_period_s
    columns = range(len(series))
    sweeps = [[(tick * 7919 + column * 104_729) % 5000 / 10 for column in columns] for tick in range(polls)]
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            ours.append(asyncio.run(_ours(Path(folder) / f"ours{number}", defaults, meters, series, sweeps)))
            bare.append(_bare(Path(folder) / f"bare{number}.sqlite", defaults, series, sweeps))
    readings = polls * len(series)
    yield "path.reading_us", round(median(ours) / readings * 1e6, 3), "us", round(median(bare) / readings * 1e6, 3)


async def _ours(folder: Path, record: RecordConfig, meters: list[MeterConfig], series: list[Series], sweeps) -> float:
    poll_us = record.poll_period_s * 1_000_000
    store = await Store.open(folder, UtcUs(0))
    site, rules = Site(series, meters, 230.0), AnomalyRules(series, meters)
    period = RecordingPeriod(series, period_us=record.recording_period_s * 1_000_000, poll_us=poll_us)
    started_s = time.process_time()
    for tick, values in enumerate(sweeps):
        tick_us = UtcUs(tick * poll_us)
        readings = [
            Reading(one.meter, one.measurand, tick_us, value, Quality.GOOD)
            for one, value in zip(series, values, strict=True)
        ]
        row = align(tick_us, readings, poll_us)
        records = [*rules.look(row, site.state(row.good_values))]
        records += [closed.block for closed in period.add(row)]
        if records:
            await store.append(records, tick_us)
    spent_s = time.process_time() - started_s
    await store.close()
    return spent_s


def _bare(path: Path, record: RecordConfig, series: list[Series], sweeps) -> float:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE reading (tick_us INTEGER, series INTEGER, value REAL)")
    per_commit = record.recording_period_s // record.poll_period_s
    started_s = time.process_time()
    rows: list[tuple[int, int, float]] = []
    for tick, values in enumerate(sweeps):
        rows += [(tick, column, value) for column, value in enumerate(values)]
        if (tick + 1) % per_commit == 0:
            connection.executemany("INSERT INTO reading VALUES (?, ?, ?)", rows)
            connection.commit()
            rows = []
    spent_s = time.process_time() - started_s
    connection.close()
    return spent_s
