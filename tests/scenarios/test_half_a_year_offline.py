"""Half a year without a cloud: everything is kept as long as there is room, then it goes in the stated order.

What is scaled: time is simulated, an hour's sixty blocks are appended at once, and blocks are of ten series instead
of two hundred. The limit on the file is set to what half a year of them takes, where the default one has room for
half a year of two hundred; the last test measures that. In CI it is a hundredth of half a year, nightly all of it.
"""

import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg
import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from gateway.config import StoreConfig
from gateway.contract.raw import pack_raw
from gateway.contract.readings import pack_block
from gateway.contract.records import (
    Aggregate,
    ForecastRecord,
    ReadingsBlock,
    Record,
    StatusRecord,
    decode_record,
)
from gateway.shell.retention import BYTES_PER_MB
from gateway.shell.store import FILE_NAME, Store
from tests.sim.arrival import compare
from tests.sim.clock import START_US
from tests.sim.logged_meters import PERIOD_US, SERIES, read_given, read_kept
from tests.sim.site_by_hand import GATEWAY, ByHand, House, enrolled_house

pytestmark = [pytest.mark.slow, pytest.mark.pg]

BLOCKS_PER_HOUR = 60
HALF_A_YEAR_BLOCKS: Final = 180 * 24 * BLOCKS_PER_HOUR
SCALE: Final = 100
# Once there is no room any more, it goes on for so long.
BEYOND: Final = 1 / 10
# What the system and its updates take of the card.
CARD_BYTES, SYSTEM_BYTES = 8_000_000_000, 3_000_000_000
MEASURED_BLOCKS = 600

DROPPED = re.compile(r"no room: (\d+) records of kind (\w+) dropped, sequences (\d+) to (\d+), ")


class Left(NamedTuple):
    """What stands in the file: how many of each kind, and the first sequence of readings."""

    kinds: Counter[str]
    first_readings: int


def rows(house: House, query: str) -> list[Any]:
    """What a second reader sees in the file."""
    with closing(sqlite3.connect(f"file:{house.store / FILE_NAME}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def left(house: House) -> Left:
    ((first,),) = rows(house, "SELECT min(sequence) FROM record WHERE kind = 'readings'")
    return Left(Counter(dict(rows(house, "SELECT kind, count(*) FROM record GROUP BY kind"))), first)


def left_periods(house: House) -> set[int]:
    blocks = [decode_record(body) for (body,) in rows(house, "SELECT body FROM record WHERE kind = 'readings'")]
    return {block.start_us for block in blocks if isinstance(block, ReadingsBlock)}


def bytes_in_use(house: House) -> int:
    ((pages, free, size),) = rows(
        house,
        "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count,"
        " pragma_page_size",
    )
    return int((pages - free) * size)


def told(house: House) -> list[tuple[int, str, int, int]]:
    """How many records of which kind were dropped, and from which sequence to which, as the store tells home."""
    records = [
        decode_record(body)
        for (body,) in rows(house, "SELECT body FROM record WHERE kind = 'status' ORDER BY sequence")
    ]
    details = [one.detail for one in records if isinstance(one, StatusRecord) and one.event == "records_dropped"]
    found = [DROPPED.match(detail) for detail in details]
    return [(int(one[1]), one[2], int(one[3]), int(one[4])) for one in found if one]


async def an_hour(gateway: ByHand) -> None:
    """Sixty blocks, a raw window, a forecast, and a status; then what is done once an hour."""
    begin_us = UtcUs(gateway.clock.utc_us() // PERIOD_US * PERIOD_US)
    starts = [UtcUs(begin_us + number * PERIOD_US) for number in range(BLOCKS_PER_HOUR)]
    gateway.clock.advance(BLOCKS_PER_HOUR * PERIOD_US / US_PER_S)
    ticks = [UtcUs(begin_us + second * US_PER_S) for second in range(60)]
    raw = pack_raw(ticks, SERIES[:1], np.arange(60.0).reshape(1, 60), np.zeros((1, 60), dtype=np.uint8), "anomaly")
    steps = list(range(96))
    forecast = ForecastRecord(
        begin_us, "consumption_w", "model", "ab" * 32, begin_us, 900 * US_PER_S, steps, steps, steps
    )
    records: list[Record] = [gateway.meters.show(start_us) for start_us in starts]
    await gateway.recorder.write([*records, *raw, forecast, StatusRecord(begin_us, "bus_back", "1.0", "an hour")])
    for start_us in starts:
        gateway.meters.note_kept(start_us)
    await gateway.store.prune(gateway.clock.utc_us())


async def half_a_year(house: House, blocks: int) -> None:
    hours = blocks // BLOCKS_PER_HOUR
    async with house.gateway(share="raw") as gateway:
        for _ in range(hours):
            await an_hour(gateway)
        assert gateway.store.queue.dropped_records == 0
    filled = left(house)
    assert filled.kinds == {"readings": hours * 60, "raw": hours, "forecast": hours, "status": hours}
    # From now on there is room for this much, and no more.
    limits = StoreConfig(size_mb_max=(house.store / FILE_NAME).stat().st_size / BYTES_PER_MB)  # type: ignore[arg-type]
    beyond = max(1, round(hours * BEYOND))
    async with house.gateway(limits=limits, share="raw") as gateway:
        for _ in range(beyond):
            before = left(house)
            await an_hour(gateway)
            assert_dropped_in_order(before, left(house))
            assert bytes_in_use(house) < 1.02 * limits.size_mb_max * BYTES_PER_MB
        assert_dropped_as_told(house, gateway, hours + beyond)
        remaining = left_periods(house)
        await gateway.bring_home()
    with psycopg.connect(house.dsn) as connection:
        arrival = compare(connection, GATEWAY, read_given(house.folder), remaining)
        assert_in_order(connection, house)
    assert arrival.is_whole, arrival
    assert arrival.unsaid == 0, "nothing came that was not there any more"
    assert arrival.kept == len(remaining) * len(SERIES)
    kept = sorted(read_kept(house.folder))
    assert sorted(remaining) == kept[-len(remaining) :], "the oldest went first"


def assert_dropped_in_order(before: Left, after: Left) -> None:
    """Readings go when neither a raw window nor a forecast is left, and a status never does."""
    assert after.kinds["status"] > before.kinds["status"]
    if after.kinds["forecast"] < before.kinds["forecast"]:
        assert after.kinds["raw"] <= 1
    if after.first_readings > before.first_readings:
        assert after.kinds["raw"] + after.kinds["forecast"] <= 1


def assert_dropped_as_told(house: House, gateway: ByHand, hours: int) -> None:
    there, dropped = left(house).kinds, Counter[str]()
    for count, kind, first, last in told(house):
        assert first <= last
        dropped[kind] += count
    assert dropped["readings"] > 0
    for kind, written in {"readings": hours * 60, "raw": hours, "forecast": hours}.items():
        assert there[kind] + dropped[kind] == written
    assert there["status"] == hours + len(told(house))
    assert gateway.store.queue.dropped_records == dropped.total()


def assert_in_order(connection: psycopg.Connection[Any], house: House) -> None:
    """What was recorded first came first, and all that was in the file came."""
    row = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE is_late) FROM"
        " (SELECT received_at < lag(received_at) OVER (ORDER BY sequence) AS is_late FROM record) AS came"
    ).fetchone()
    assert row is not None
    assert row[0] == left(house).kinds.total()
    assert row[1] == 0


async def test_all_of_a_scaled_half_a_year_is_kept_then_dropped_in_order_then_drained_in_order(
    dsn: str, tmp_path: Path
) -> None:
    async with enrolled_house(tmp_path, dsn) as house:
        await half_a_year(house, HALF_A_YEAR_BLOCKS // SCALE)


@pytest.mark.nightly
async def test_all_of_half_a_year_is_kept_then_dropped_in_order_then_drained_in_order(
    dsn: str, tmp_path: Path
) -> None:
    async with enrolled_house(tmp_path, dsn) as house:
        await half_a_year(house, HALF_A_YEAR_BLOCKS)


async def test_half_a_year_of_two_hundred_series_is_within_the_default_limit_and_on_the_card(tmp_path: Path) -> None:
    """Values that jump about: what really is measured takes less."""
    chance = np.random.default_rng(1)
    measurands = list(Measurand)[:20]
    series = [Series(MeterId(f"meter-{meter}"), one) for meter in range(10) for one in measurands]
    store = await Store.open(tmp_path, START_US)
    for number in range(MEASURED_BLOCKS):
        start_us = UtcUs(START_US + number * PERIOD_US)
        columns = chance.uniform(0, 500, (3, len(series))).tolist()
        aggregates = [
            Aggregate(one, mean, mean - low, mean + high, 60, Quality.GOOD)
            for one, mean, low, high in zip(series, *columns, strict=True)
        ]
        last_us = UtcUs(start_us + PERIOD_US - US_PER_S)
        block = pack_block(aggregates, start_us=start_us, period_us=PERIOD_US, first_us=start_us, last_us=last_us)
        await store.append([block], UtcUs(start_us + PERIOD_US))
    await store.close()
    taken = (tmp_path / FILE_NAME).stat().st_size / MEASURED_BLOCKS * HALF_A_YEAR_BLOCKS
    limits = StoreConfig()
    print(f"{taken / HALF_A_YEAR_BLOCKS:.0f} bytes a block, {taken / 1e9:.2f} GB in half a year")
    assert taken < limits.size_mb_max * BYTES_PER_MB
    assert taken + limits.free_mb_min * BYTES_PER_MB + SYSTEM_BYTES < CARD_BYTES
