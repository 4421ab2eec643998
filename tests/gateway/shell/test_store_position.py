import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from gateway.shell import store_position
from gateway.shell.store import Queue, Store
from gateway.shell.store_position import Position, Waits
from tests.sim.stores import NOW_US, all_kept, asides, block, change, look, numbers, opened, status, statuses


def test_what_waits_is_of_the_kinds_that_go_home():
    position = Position([], 0, 0)
    position.add("readings", 100)
    position.add("readings", 50)
    position.add("raw", 1_000)
    assert position.waits() == Waits(3, 1_150), "as long as nobody said which"
    position.kinds = " readings status "
    assert position.waits() == Waits(2, 150)
    position.add("readings", -100, records=-1)
    assert position.waits() == Waits(1, 50)
    assert [position.goes_home(kind) for kind in ("status", "stat", "raw")] == [True, False, False]


async def step(store: Store, name: str, number: int) -> None:
    last = store._keeper.file.position.last
    match name:
        case "append":
            await store.append([block(number, size=number), status(number)][: number % 3], NOW_US)
        case "acknowledge":
            await store.acknowledge(min(store.queue.acknowledged + number, last))
        case "quarantine" if last:
            await store.quarantine(1 + number % last, "refused", NOW_US)
        case "rewind":
            await store.rewind(max(0, store.queue.acknowledged - number))
        case "begin":
            await store.begin_generation(1 + number % (last + 1), NOW_US)
        case "send":
            await store.waiting(frozenset({"readings"} if number % 2 else {"status", "readings"}), 1, 1)
        case "prune":
            await store.prune(UtcUs(NOW_US * 2))


async def queue_after(folder: Path, steps: list[tuple[str, int]]) -> tuple[Queue, Queue]:
    """What a store says after some steps, and what the next start finds."""
    async with opened(folder) as store:
        for name, number in steps:
            await step(store, name, number)
        before = store.queue
    async with opened(folder) as store:
        return replace(before, file_bytes=0), replace(store.queue, file_bytes=0)


STEPS = ["append", "acknowledge", "quarantine", "rewind", "begin", "send", "prune"]


@pytest.mark.parametrize("counted_min", [1, 10_000])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), max_size=12))
def test_a_start_finds_the_counts_that_the_last_run_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted_min: int, steps: list[tuple[str, int]]
):
    monkeypatch.setattr(store_position, "_COUNTED_RECORDS_MIN", counted_min)
    before, after = asyncio.run(queue_after(Path(tempfile.mkdtemp(dir=tmp_path)), steps))
    assert before == after


async def test_much_that_waits_is_not_counted_again_at_every_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_position, "_COUNTED_RECORDS_MIN", 10)
    async with opened(tmp_path) as store:
        await store.append(statuses(40), NOW_US)
        await store.acknowledge(5)
        assert look(tmp_path, "SELECT kind, records FROM backlog") == [("status", 35)]
        await store.append(statuses(2), NOW_US)
    async with opened(tmp_path) as store:
        assert store.queue.records == 37
        await store.acknowledge(38)
        assert look(tmp_path, "SELECT count(*) FROM backlog") == [(0,)]
        assert store.queue.records == 4


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM cursor",
        "UPDATE cursor SET sequence = 'many'",
        "UPDATE generation SET id = 'nonsense'",
        "UPDATE generation SET id = x'ff00'",
        "DELETE FROM generation",
        "DROP TABLE generation",
    ],
)
async def test_a_file_that_says_what_cannot_be_is_damaged_and_nothing_of_it_is_lost(tmp_path: Path, harm: str):
    async with opened(tmp_path) as store:
        await store.append(statuses(3), NOW_US)
        generation = store.generation
    change(tmp_path, harm)
    async with opened(tmp_path) as store:
        assert store.generation != generation
        await store.append(statuses(1, first=4), NOW_US)
        records = await all_kept(store)
        assert numbers(one for _, one in records) == [1, 2, 3, 4]
        assert [one.sequence for _, one in records][:3] == [1, 2, 3]
        assert {one for one, _ in records[:3]} == {generation}
    assert len(asides(tmp_path)) == 1
