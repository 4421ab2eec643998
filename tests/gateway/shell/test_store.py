import asyncio
import random
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.records import StatusRecord, decode_record
from gateway.shell.store import FILE_NAME, TEND_PERIOD_S
from tests.sim.clock import SimClock
from tests.sim.stores import ALL_KINDS, ENDLESS, MANY, NOW_US, block, change, kept, look, numbers, opened, statuses

# Real seconds; it takes one.
PATIENT_S = 30


async def test_records_come_back_in_order_with_sequences_that_rise_by_one(tmp_path: Path):
    async with opened(tmp_path / "made" / "when missing") as store:
        assert (store.queue.records, store.queue.oldest_us) == (0, None)
        await store.append([], NOW_US)
        await store.append(statuses(3), NOW_US)
        await store.append(statuses(2, first=4), UtcUs(NOW_US + 9))
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
            await store.append(statuses(2, first=2 * run + 1), UtcUs(NOW_US + run))
            await store.acknowledge(2 * run + 1)
            assert [record.sequence for record in await kept(store)] == [2 * run + 2]
            assert store.newest_us == (NOW_US + run - 1 if run else None)
    assert len(generations) == 1
    assert look(tmp_path, "SELECT count(*), max(sequence) FROM record") == [(8, 8)], "what is at home stays"


async def test_the_cursor_goes_forward_by_an_acknowledgement_and_back_by_a_rewind_alone(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(5), NOW_US)
        for sequence, stands_at in ((2, 2), (1, 2), (4, 4), (4, 4), (3, 4)):
            await store.acknowledge(sequence)
            assert store.queue.acknowledged == stands_at
            assert (await kept(store))[0].sequence == stands_at + 1
        for sequence, stands_at in ((5, 4), (4, 4), (-1, 4), (2, 2)):
            await store.rewind(sequence)
            assert store.queue.acknowledged == stands_at
            assert (await kept(store))[0].sequence == stands_at + 1
    async with opened(tmp_path) as store:
        assert store.queue.acknowledged == 2


async def test_the_queue_tells_how_much_waits_and_since_when(tmp_path: Path):
    async with opened(tmp_path) as store:
        for second in range(3):
            await store.append(statuses(2), UtcUs(NOW_US + second))
        sizes = [len(one.body) for one in await kept(store)]
        for acknowledged, oldest_us in ((0, NOW_US), (3, NOW_US + 1), (6, None)):
            await store.acknowledge(acknowledged)
            queue = store.queue
            assert (queue.records, queue.oldest_us) == (6 - acknowledged, oldest_us)
            assert (queue.acknowledged, queue.bytes) == (acknowledged, sum(sizes[acknowledged:]))
        await store.append(statuses(1), UtcUs(NOW_US + 7))
        assert (store.queue.records, store.queue.oldest_us) == (1, NOW_US + 7)
        assert (store.queue.card, store.queue.ring_records, store.queue.ring_lost) == ("ok", 0, 0)
        assert store.queue.file_bytes > 4096


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
            waiting = await store.waiting(ALL_KINDS, records_max, bytes_max)
            assert [record.sequence for record in waiting.records] == list(range(1, count + 1))
            assert (waiting.generation, waiting.acknowledged) == (store.generation, 0)
        await store.acknowledge(6)
        assert await store.waiting(ALL_KINDS, MANY, ENDLESS) is None


async def test_a_batch_is_read_in_bounded_memory(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append([block(seed, 36_000) for seed in range(80)], NOW_US)
        tracemalloc.start()
        waiting = await store.waiting(ALL_KINDS, MANY, 100_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 1 < len(waiting.records) < 4
    assert peak_bytes < 1_000_000, "of 3 MB that wait"


async def test_what_is_not_committed_yet_is_not_sent(tmp_path: Path):
    # A record that a power cut takes back must not be at home: its sequence is given again.
    async def look_at(store) -> None:
        sent = len(await kept(store))
        ((committed,),) = look(tmp_path, "SELECT count(*) FROM record")
        is_committed.append(sent <= committed)

    is_committed: list[bool] = []
    async with opened(tmp_path) as store:
        for _ in range(5):
            async with asyncio.TaskGroup() as group:
                group.create_task(store.append(statuses(2), NOW_US))
                group.create_task(look_at(store))
                group.create_task(look_at(store))
    assert all(is_committed)


async def test_readings_are_given_newest_first_and_back_to_an_instant(tmp_path: Path):
    async with opened(tmp_path) as store:
        for second in range(300):
            await store.append([block(second), *statuses(1, first=second)], UtcUs(NOW_US + second))
        blocks = [one async for one in store.blocks_since(UtcUs(NOW_US + 10))]
    assert [one.start_us for one in blocks] == list(range(299, 9, -1))


async def test_a_record_that_rotted_is_passed_over_when_the_window_is_filled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with opened(tmp_path) as store:
        await store.append([block(number) for number in range(3)], NOW_US)
    change(tmp_path, "UPDATE record SET body = x'00ff' WHERE sequence = 2")
    async with opened(tmp_path) as store:
        assert [one.start_us async for one in store.blocks_since(UtcUs(0))] == [2, 0]
    assert "cannot be read" in caplog.text


async def test_the_service_brings_over_and_prunes_while_the_gateway_runs(tmp_path: Path):
    clock = SimClock()

    async def at_home_and_left() -> int:
        await clock.sleep_for(TEND_PERIOD_S)
        ((count,),) = look(tmp_path, "SELECT count(*) FROM record WHERE sequence <= 1500")
        return count

    async with opened(tmp_path, clock.utc_us()) as store:
        await store.append(statuses(2_000), clock.utc_us())
        await store.acknowledge(1_500)
        (tmp_path / FILE_NAME).unlink()
        await store.append(statuses(1, first=2_001), clock.utc_us())
        assert await kept(store) == [], "not all of it has come over"
        async with asyncio.timeout(PATIENT_S), asyncio.TaskGroup() as group:
            tending = group.create_task(store.tend(clock))
            while not await kept(store):
                await clock.sleep_for(1)
            assert await at_home_and_left() == 1_500
            await clock.sleep_for(8 * 86_400)
            while await at_home_and_left():
                pass
            tending.cancel()
        assert numbers(await kept(store))[:500] == list(range(1_501, 2_001))


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
        await store.append(records, number)
        number += count
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
