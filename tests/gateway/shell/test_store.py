import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import UtcUs
from gateway.contract.batches import StoredRecord
from gateway.contract.records import ReadingsBlock, Record, StatusRecord, decode_record
from gateway.shell.store import FILE_NAME, Store

NOW_US = UtcUs(1_700_000_000_000_000)
MANY, ENDLESS = 10_000, 1 << 40


def status(number: int) -> Record:
    return StatusRecord(UtcUs(NOW_US + number), "started", "1.0", f"number {number}")


def statuses(count: int, first: int = 1) -> list[Record]:
    return [status(number) for number in range(first, first + count)]


def large_block(seed: int, size: int = 36_000) -> ReadingsBlock:
    """A record of so many bytes, which no compression makes smaller."""
    codes = [random.Random(seed).randbytes(size)]
    return ReadingsBlock(UtcUs(seed), 60, UtcUs(seed), UtcUs(seed), [], codes, [], [], [], [], b"")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = await Store.open(folder, NOW_US)
    try:
        yield store
    finally:
        await store.close()


async def kept(store: Store) -> list[StoredRecord]:
    return await store.unacknowledged(MANY, ENDLESS)


async def test_records_come_back_in_order_with_sequences_that_rise_by_one(tmp_path: Path):
    async with opened(tmp_path / "made" / "when missing") as store:
        assert (store.queue.records, store.queue.oldest_us) == (0, None)
        assert await store.append([], NOW_US) == 0
        assert await store.append(statuses(3), NOW_US) == 3
        assert await store.append(statuses(2, first=4), UtcUs(NOW_US + 9)) == 5
        records = await kept(store)
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
    assert [decode_record(record.body) for record in records] == statuses(5)
    assert [record.recorded_us - NOW_US for record in records] == [0, 0, 0, 9, 9]


async def test_a_restart_goes_on_where_the_last_run_ended(tmp_path: Path):
    generations = set()
    for run in range(4):
        async with opened(tmp_path) as store:
            generations.add(store.generation)
            assert store.queue.acknowledged == max(0, 2 * run - 1)
            assert await store.append(statuses(2, first=2 * run + 1), NOW_US) == 2 * run + 2
            await store.acknowledge(2 * run + 1)
            assert [record.sequence for record in await kept(store)] == [2 * run + 2]
    assert len(generations) == 1
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        sequences = [row[0] for row in file.execute("SELECT sequence FROM record ORDER BY sequence")]
    assert sequences == list(range(1, 9)), "what is acknowledged is kept until the cloud signs for it"


async def test_the_cursor_never_moves_back(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(5), NOW_US)
        for sequence, stands_at in ((2, 2), (1, 2), (4, 4), (4, 4), (3, 4)):
            await store.acknowledge(sequence)
            assert store.queue.acknowledged == stands_at
            assert (await kept(store))[0].sequence == stands_at + 1
    async with opened(tmp_path) as store:
        assert store.queue.acknowledged == 4


async def test_the_queue_tells_how_much_waits_and_since_when(tmp_path: Path):
    async with opened(tmp_path) as store:
        for second in range(3):
            await store.append(statuses(2), UtcUs(NOW_US + second))
        assert (store.queue.records, store.queue.oldest_us) == (6, NOW_US)
        await store.acknowledge(3)
        assert (store.queue.records, store.queue.oldest_us) == (3, NOW_US + 1)
        await store.acknowledge(6)
        assert (store.queue.records, store.queue.oldest_us) == (0, None)
        await store.append(statuses(1), UtcUs(NOW_US + 7))
        assert (store.queue.records, store.queue.oldest_us) == (1, NOW_US + 7)


async def test_a_batch_respects_both_limits_and_is_never_empty_while_something_waits(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(6), NOW_US)
        sizes = [len(record.body) for record in await kept(store)]
        for records_max, bytes_max, count in (
            (1, ENDLESS, 1),
            (4, ENDLESS, 4),
            (MANY, sum(sizes[:3]), 3),
            (MANY, sum(sizes[:3]) - 1, 2),
            (2, sum(sizes[:3]), 2),
            (MANY, 1, 1),
        ):
            taken = await store.unacknowledged(records_max, bytes_max)
            assert [record.sequence for record in taken] == list(range(1, count + 1))
        await store.acknowledge(6)
        assert await kept(store) == []


async def test_a_batch_is_read_in_bounded_memory(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append([large_block(seed) for seed in range(80)], NOW_US)
        tracemalloc.start()
        taken = await store.unacknowledged(MANY, 100_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 1 < len(taken) < 4
    assert peak_bytes < 1_000_000, "of 3 MB that wait"


async def test_what_is_not_committed_yet_is_not_sent(tmp_path: Path):
    # A record that a power cut takes back must not be at home: its sequence is given again.
    is_committed: list[bool] = []

    async def look(store: Store) -> None:
        records = await kept(store)
        is_committed.append(len(records) <= store.queue.records)

    async with opened(tmp_path) as store:
        for _ in range(5):
            async with asyncio.TaskGroup() as group:
                group.create_task(store.append(statuses(2), NOW_US))
                group.create_task(look(store))
                group.create_task(look(store))
    assert all(is_committed)


async def test_a_commit_that_fails_leaves_the_store_as_it_was(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(2), NOW_US)
        (pages,) = next(iter(await store._connection.execute_fetchall("PRAGMA page_count")))
        await store._connection.execute(f"PRAGMA max_page_count={pages + 1}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await store.append([status(3), large_block(1), large_block(2)], NOW_US)
        assert store.queue.records == len(await kept(store)) == 2
        await store._connection.execute("PRAGMA max_page_count=1000000")
        assert await store.append(statuses(1, first=3), NOW_US) == 3
        assert [decode_record(record.body) for record in await kept(store)] == statuses(3)


async def test_an_append_cancelled_at_any_moment_is_whole_or_absent(tmp_path: Path):
    clock = SystemClock()
    async with opened(tmp_path) as store:
        for turns in range(12):
            before = store.queue.records
            async with asyncio.TaskGroup() as group:
                append = group.create_task(store.append(statuses(2), NOW_US))
                for _ in range(turns):
                    await clock.sleep_for(0)
                append.cancel()
            assert store.queue.records - before in (0, 2)
            await store.append(statuses(1), NOW_US)
            assert [record.sequence for record in await kept(store)] == list(range(1, store.queue.records + 1))


async def test_readings_are_given_newest_first_and_back_to_an_instant(tmp_path: Path):
    async with opened(tmp_path) as store:
        for second in range(300):
            await store.append([large_block(second, size=1), status(second)], UtcUs(NOW_US + second))
        blocks = [block async for block in store.blocks_since(UtcUs(NOW_US + 10))]
    assert [block.start_us for block in blocks] == list(range(299, 9, -1))


async def test_a_record_that_rotted_is_passed_over_when_the_window_is_filled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with opened(tmp_path) as store:
        await store.append([large_block(number, size=1) for number in range(3)], NOW_US)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.execute("UPDATE record SET body = x'00ff' WHERE sequence = 2")
        file.commit()
    async with opened(tmp_path) as store:
        assert [block.start_us async for block in store.blocks_since(UtcUs(0))] == [2, 0]
    assert "cannot be read" in caplog.text


# Appends for ever, and says after each return how far it came.
_WRITER = """
import asyncio, os, sys
from pathlib import Path
from gateway.contract.records import StatusRecord
from gateway.shell.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]), 0)
    number, leave_at = store.queue.records, int(sys.argv[2])
    while True:
        count = 1 + number % 5
        records = [StatusRecord(number + i + 1, "started", store.generation, "x" * 300) for i in range(count)]
        number = await store.append(records, number)
        os.write(1, b"%d\\n" % number)
        if leave_at and number >= leave_at:
            os._exit(0)

asyncio.run(main())
"""


def write_until(folder: Path, *, kill_after: int = 0, leave_at: int = 0) -> int:
    """Let a process write until it leaves by itself at a sequence, or is killed after so many appends.

    Gives the last sequence that it was told to be on disk.
    """
    command = [sys.executable, "-c", _WRITER, str(folder), str(leave_at)]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            told.append(line)
            if len(told) == kill_after:
                writer.kill()
    assert writer.returncode == (-signal.SIGKILL if kill_after else 0)
    return int([line for line in told if line.endswith(b"\n")][-1])


async def assert_whole(folder: Path, told: int) -> tuple[str, int]:
    async with opened(folder) as store:
        records = await kept(store)
        assert [record.sequence for record in records] == list(range(1, len(records) + 1))
        assert len(records) >= told, "what append returned for is there"
        for record in records[-50:]:
            body = decode_record(record.body)
            assert isinstance(body, StatusRecord)
            assert (body.at_us, body.software) == (record.sequence, store.generation)
        return store.generation, len(records)


@pytest.mark.slow
async def test_what_append_returned_for_survives_a_process_that_leaves_at_once(tmp_path: Path):
    told = write_until(tmp_path, leave_at=40)
    assert told >= 40
    await assert_whole(tmp_path, told)


@pytest.mark.slow
async def test_nothing_told_is_lost_or_torn_in_thirty_kills(tmp_path: Path):
    chance, generations, before = random.Random(9), set(), 0
    for _ in range(30):
        told = write_until(tmp_path, kill_after=chance.randrange(1, 12))
        assert told > before
        generation, before = await assert_whole(tmp_path, told)
        generations.add(generation)
    assert len(generations) == 1
