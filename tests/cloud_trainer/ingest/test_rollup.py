import asyncio
import random
from collections import defaultdict

import msgspec
import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.columns import read_columns
from cloud_trainer.ingest.db import store_batch
from cloud_trainer.ingest.migrate import schema_files
from cloud_trainer.ingest.reading_rows import ReadingRows, reading_rows
from cloud_trainer.ingest.rollup import rollup_columns
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import Quality
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.records import ReadingsBlock
from tests.sim.cloud_records import POLL_US, START_US, batch, block

PERIOD_US = 5 * POLL_US


def power(start_us: int, *values_w: float, first_us: int | None = None) -> ReadingsBlock:
    return block(start_us, {("grid", Measurand.ACTIVE_POWER_W): values_w}, first_us=first_us)


def rows(*blocks: ReadingsBlock) -> ReadingRows:
    return reading_rows(
        [(i, one, read_columns(one), np.arange(len(one.count))) for i, one in enumerate(blocks, start=1)]
    )


def added(*blocks: ReadingsBlock) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in rollup_columns(rows(*blocks))), strict=True))


def test_periods_of_one_step_are_summed_up() -> None:
    blocks = [power(START_US + i * PERIOD_US, *[float(i)] * 5) for i in range(4)]
    assert added(*blocks) == [
        (0, START_US, 5 * 0.0 + 5 * 1.0 + 5 * 2.0, 0.0, 2.0, 15, 900.0),
        (0, START_US + ENERGY.step_us, 15.0, 3.0, 3.0, 5, 300.0),
    ]


def test_two_blocks_of_one_period_weigh_what_they_hold() -> None:
    first = power(START_US, 10.0)
    rest = power(START_US, 20.0, 20.0, 20.0, first_us=START_US + 2 * POLL_US)
    ((_, _, total, low, high, count, _),) = added(first, rest)
    assert (total, low, high, count) == (70.0, 10.0, 20.0, 4)


def test_seconds_count_where_there_are_values() -> None:
    both = block(START_US, {("a", Measurand.ACTIVE_POWER_W): [1.0] * 5, ("b", Measurand.ACTIVE_POWER_W): [1.0, 1.0]})
    assert [(row[0], row[-1]) for row in added(both)] == [(0, 300.0), (1, 120.0)]


def test_a_period_of_suspect_values_alone_stays_out() -> None:
    good = power(START_US, 1.0, 2.0, 3.0, 4.0, 5.0)
    suspect = ReadingsBlock(
        *(getattr(good, name) for name in good.__struct_fields__[:-1]), quality=bytes([Quality.SUSPECT])
    )
    assert len(added(good)) == 1
    assert added(suspect) == []


def test_a_silent_meter_adds_nothing() -> None:
    assert added(power(START_US)) == []


BLOCKS = st.builds(
    lambda period, values: power(START_US + period * PERIOD_US, *values),
    st.integers(0, 9),
    st.lists(st.integers(-1000, 1000).map(float), max_size=5),
)


@given(st.lists(BLOCKS, min_size=1, max_size=8))
def test_a_rollup_is_what_all_its_values_say(blocks: list[ReadingsBlock]) -> None:
    expected = defaultdict(lambda: [0.0, np.inf, -np.inf, 0])
    for one in blocks:
        columns = read_columns(one)
        if (count := int(columns.count[0])) == 0:
            continue
        step = expected[one.start_us - one.start_us % ENERGY.step_us]
        step[0] += columns.mean[0] * count
        step[1], step[2] = min(step[1], columns.minimum[0]), max(step[2], columns.maximum[0])
        step[3] += count
    found = {step: list(row) for _, step, *row, _ in added(*blocks)}
    assert found.keys() == expected.keys()
    for step, row in found.items():
        assert row == pytest.approx(expected[step])


@pytest.mark.slow
@pytest.mark.pg
@pytest.mark.usefixtures("gateways")
@pytest.mark.parametrize("server", ["postgres", "debian"], indirect=True)
async def test_the_table_keeps_in_step_with_whatever_comes_however_often_and_late(dsn: str) -> None:
    chance = random.Random(5)
    blocks = [
        block(
            START_US + chance.randrange(12) * PERIOD_US,
            {(meter, Measurand.ACTIVE_POWER_W): [chance.uniform(-9, 9)] * chance.randrange(6) for meter in "ab"},
        )
        for _ in range(40)
    ]
    whole = batch(blocks)

    async def send() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as own:
            for _ in range(8):
                first, last = sorted(chance.sample(range(41), 2))
                await store_batch(own, msgspec.structs.replace(whole, records=whole.records[first:last]))

    async with asyncio.TaskGroup() as senders:
        for _ in range(4):
            senders.create_task(send())
    async with await psycopg.AsyncConnection.connect(dsn) as own:
        await store_batch(own, whole)
        cursor = await own.execute(
            "SELECT meter, instant_us(step_start), total, minimum, maximum, count, covered_s"
            " FROM rollup_15min JOIN series USING (series_id) ORDER BY meter, step_start"
        )
        found = await cursor.fetchall()
    expected = added(*blocks)
    assert [row[0] for row in found] == ["ab"[int(row[0])] for row in expected]
    assert np.array([row[1:] for row in found], dtype=float) == pytest.approx(np.array([row[1:] for row in expected]))


def test_the_table_is_named_after_its_step() -> None:
    assert ENERGY.step_us == 15 * 60 * 1_000_000
    assert "CREATE TABLE rollup_15min (" in schema_files()[4]
