from pathlib import Path

import pytest

from firmware_bridge.reading import UtcUs
from gateway.shell import inflow
from gateway.shell.database import StorageError
from gateway.shell.generations import Generation, read_journal, write_journal
from gateway.shell.inflow import SALVAGE_TRIES_MAX, _united, bring
from gateway.shell.old_files import DamagedFile
from gateway.shell.store import FILE_NAME
from gateway.shell.store_keeper import STEPS_AT_ONCE
from tests.sim.stores import NOW_US, all_kept, asides, events, kept, look, numbers, opened, statuses
from tests.sim.weak_card import WeakCard

A, B, C = (letter * 32 for letter in "abc")
MANY_RECORDS = 2_000


async def damaged(folder: Path, records: int = MANY_RECORDS) -> str:
    """A store whose file has lost its first page; what its records are known by."""
    async with opened(folder) as store:
        await store.append(statuses(records), NOW_US)
        generation = store.generation
    with (folder / FILE_NAME).open("r+b") as file:
        file.write(bytes(4096))
    return generation


def test_what_a_damaged_file_tells_is_added_to_what_is_known():
    known = [Generation(1, A), Generation(900, C)]
    assert _united(known, [Generation(1, A), Generation(50, B)], 900) == [(1, A), (50, B), (900, C)]
    assert _united(known, [Generation(1, B), Generation(950, B)], 900) == known, "older, and impossible"
    assert _united([Generation(1, C), Generation(900, C)], [Generation(1, A)], 900) == known, (
        "it knows, others did not"
    )
    assert _united([Generation(50, A), Generation(900, C)], [], 900) == [(1, C), (50, A), (900, C)]


async def test_many_come_over_in_steps_while_new_ones_are_kept_and_nothing_is_sent_before(tmp_path: Path):
    generation = await damaged(tmp_path)
    async with opened(tmp_path) as store:
        ((came,),) = look(tmp_path, "SELECT count(*) FROM record")
        assert 0 < came < MANY_RECORDS
        await store.append(statuses(1, first=MANY_RECORDS + 1), NOW_US)
        assert await kept(store) == []
        while await store.mend(NOW_US):
            pass
        records = await all_kept(store)
        assert numbers(one for _, one in records) == list(range(1, MANY_RECORDS + 2))
        assert [name for name, _ in records[:MANY_RECORDS]] == [generation] * MANY_RECORDS
        assert [one.sequence for _, one in records[:MANY_RECORDS]] == list(range(1, MANY_RECORDS + 1))
        assert store.queue.records == len(records)
        assert events(one for _, one in records) == ["generation_begun"]
        assert read_journal(tmp_path).salvages == []
        assert asides(tmp_path), "the original stays"


async def test_what_a_restart_ended_goes_on_with_the_next_start(tmp_path: Path):
    generation = await damaged(tmp_path)
    async with opened(tmp_path) as store:
        await store.append(statuses(1, first=MANY_RECORDS + 1), NOW_US)
    async with opened(tmp_path) as store:
        while await store.mend(NOW_US):
            pass
        records = await all_kept(store)
        assert numbers(one for _, one in records) == list(range(1, MANY_RECORDS + 2))
        assert [name for name, _ in records[:MANY_RECORDS]] == [generation] * MANY_RECORDS


async def test_what_ends_the_process_each_time_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    await damaged(tmp_path)
    for tries in range(1, SALVAGE_TRIES_MAX + 1):
        async with opened(tmp_path) as store:
            assert await kept(store) == []
            begun = read_journal(tmp_path)
        assert [entry.tries for entry in begun.salvages] == [tries]
        assert [entry.tries for entry in read_journal(tmp_path).salvages] == [tries - 1], "it was an orderly stop"
        write_journal(tmp_path, begun)  # as if it had not been
    async with opened(tmp_path) as store:
        assert await kept(store) != []
        assert read_journal(tmp_path).salvages == []
    assert "given up" in caplog.text
    assert len(asides(tmp_path)) == 1


async def test_a_large_file_is_left_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inflow, "SALVAGE_AT_ONCE_BYTES_MAX", 1_000)
    await damaged(tmp_path, records=20)
    async with opened(tmp_path) as store:
        assert look(tmp_path, "SELECT count(*) FROM record") == [(0,)]
        while await store.mend(NOW_US):
            pass
        assert numbers(one for _, one in await all_kept(store)) == list(range(1, 21))


async def test_a_card_that_goes_away_in_between_loses_nothing(tmp_path: Path):
    await damaged(tmp_path)
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        for turn in range(1, 60):
            now_us = UtcUs(NOW_US + turn * 10_000_000)
            card.writes_left = turn % 7
            await store.mend(now_us)
            card.writes_left = None
            await store.append(statuses(1, first=MANY_RECORDS + turn), UtcUs(now_us + 5_000_000))
        while await store.mend(UtcUs(NOW_US + 1_000_000_000)):
            pass
        assert numbers(one for _, one in await all_kept(store)) == list(range(1, MANY_RECORDS + 60))


async def test_a_file_that_is_damaged_again_before_all_came_over_leaves_nothing_behind(tmp_path: Path):
    generation = await damaged(tmp_path)
    async with opened(tmp_path) as store:
        await store.append(statuses(1, first=MANY_RECORDS + 1), NOW_US)
    with (tmp_path / FILE_NAME).open("r+b") as file:
        file.write(bytes(4096))
    async with opened(tmp_path) as store:
        while await store.mend(NOW_US):
            pass
        records = await all_kept(store)
        assert numbers(one for _, one in records) == list(range(1, MANY_RECORDS + 2))
        assert {name for name, one in records if one.sequence <= MANY_RECORDS} == {generation}
        assert len({name for name, _ in records}) == 3
    assert len(asides(tmp_path)) == 2


async def test_a_sequence_that_cannot_have_been_given_is_replaced(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(3), NOW_US)
    rows = look(tmp_path, "SELECT sequence, recorded_us, kind, boot, body FROM record")
    async with opened(tmp_path / "other") as store:
        await store.append(statuses(1, first=9), NOW_US)
        records = [inflow.SalvagedRecord(*row)._replace(sequence=10 * row[0]) for row in rows]
        assert await bring(store._keeper.file, records, below=25) == 3
        assert await bring(store._keeper.file, records[:2], below=25) == 0
        found = await kept(store)
        assert [one.sequence for one in found] == [1, 2, 10, 20]
        assert numbers(found) == [9, 3, 1, 2]
        assert store.queue.records == 4


async def test_a_disk_that_is_gone_ends_a_salvage_as_a_card_does(tmp_path: Path):
    entry = inflow.Salvage("damaged-1.sqlite", 5)
    with pytest.raises(StorageError) as caught:
        await DamagedFile(tmp_path, entry).begin()
    assert caught.value.card == "failing"


def test_a_start_brings_over_less_than_takes_a_second():
    assert STEPS_AT_ONCE * 64 < MANY_RECORDS
