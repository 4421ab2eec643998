"""A database and a simulator's log that agree, to plant errors in."""

import json
from pathlib import Path

import psycopg

from cloud_trainer.ingest.db import store_batch
from firmware_bridge.measurand import Measurand
from tests.sim.cloud_records import POLL_US, START_US, batch, block

METERS = ("grid", "solar")
PERIOD_TICKS = 5
PERIODS = 4


async def fill(dsn: str, folder: Path) -> Path:
    """Fill the database with four records of two series; returns the log, in `folder`, that says the same."""
    log = folder / "log"
    ticks = range(PERIODS * PERIOD_TICKS)
    lines = [
        {"at_us": START_US + tick * POLL_US + 11, "meter": meter, "values": {"active_power_w": _value(meter, tick)}}
        for tick in ticks
        for meter in METERS
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = []
    for first in ticks[::PERIOD_TICKS]:
        samples = {
            (meter, Measurand.ACTIVE_POWER_W): [_value(meter, first + i) for i in range(PERIOD_TICKS)]
            for meter in METERS
        }
        records.append(block(START_US + first * POLL_US, samples))
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await store_batch(connection, batch(records))
    return log


def _value(meter: str, tick: int) -> float:
    return 100.0 * (meter == "grid") + tick * 1.5
