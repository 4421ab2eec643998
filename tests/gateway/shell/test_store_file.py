import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import UtcUs
from gateway.shell import store_file
from gateway.shell.database import connect_sqlite
from gateway.shell.store import FILE_NAME, Store
from gateway.shell.store_file import StoreFile
from tests.sim.stores import NOW_US, all_kept, asides, block, change, kept, look, numbers, opened, statuses
from tests.sim.weak_card import WeakCard


async def filled(folder: Path, records: int = 400) -> bytes:
    """The file of a store with some pages of records, all of it in one file."""
    async with opened(folder) as store:
        await store.append(statuses(records), NOW_US)
    return (folder / FILE_NAME).read_bytes()


def garbage(file: bytes) -> bytes:
    return random.Random(1).randbytes(len(file))


def cut_short(file: bytes) -> bytes:
    return file[: len(file) // 2]


def zeroed_behind_the_head(file: bytes) -> bytes:
    return file[:100] + bytes(len(file) - 100)


def zeroed_behind_the_first_page(file: bytes) -> bytes:
    return file[:4096] + bytes(len(file) - 4096)


def without_its_head(file: bytes) -> bytes:
    return bytes(4096) + file[4096:]


@pytest.mark.parametrize(
    ("damage", "records_min"),
    [
        (garbage, 0),
        (cut_short, 0),
        (zeroed_behind_the_head, 0),
        (zeroed_behind_the_first_page, 0),
        (without_its_head, 400),
    ],
)
async def test_a_damaged_file_is_kept_what_it_holds_comes_over_and_a_generation_begins(
    tmp_path: Path, damage: Callable[[bytes], bytes], records_min: int, caplog: pytest.LogCaptureFixture
):
    damaged = damage(await filled(tmp_path))
    ((old,),) = look(tmp_path, "SELECT id FROM generation")
    (tmp_path / FILE_NAME).write_bytes(damaged)
    async with opened(tmp_path) as store:
        assert store.generation != old
        await store.append(statuses(1, first=401), NOW_US)
        records = await all_kept(store)
        found = numbers(one for _, one in records)
        assert found == sorted(found)
        assert found[-1] == 401
        assert len(found) - 1 >= records_min
        assert {generation for generation, one in records if one.sequence <= 400} <= {old}
        assert all(one.sequence == number for number, (_, one) in zip(found[:-1], records, strict=False))
    (aside,) = asides(tmp_path)
    assert aside.read_bytes() == damaged
    assert aside.name in caplog.text


async def test_an_empty_file_left_by_a_power_cut_becomes_a_store(tmp_path: Path):
    (tmp_path / FILE_NAME).touch()
    async with opened(tmp_path) as store:
        await store.append(statuses(1), NOW_US)
        assert [one.sequence for one in await kept(store)] == [1]
    assert asides(tmp_path) == []


async def test_an_empty_file_whose_log_is_not_empty_loses_nothing_of_that(tmp_path: Path):
    async with opened(tmp_path / "data") as store:
        await store.append(statuses(3), NOW_US)
        log = (tmp_path / "data" / f"{FILE_NAME}-wal").read_bytes()
    (tmp_path / "data" / FILE_NAME).write_bytes(b"")
    (tmp_path / "data" / f"{FILE_NAME}-wal").write_bytes(log)
    async with opened(tmp_path / "data") as store:
        assert numbers(await kept(store)) == [1, 2, 3]


# More than SQLite keeps in memory; a page each.
BLOCKS = 1_500


async def test_damage_that_is_found_when_it_is_read_is_no_other_than_at_the_start(tmp_path: Path):
    folder = tmp_path / "data"
    async with opened(folder) as store:
        generation = store.generation
        await store.append([block(number, size=3_000) for number in range(BLOCKS)], NOW_US)
        await store.append(statuses(5), NOW_US)
    async with opened(folder) as store:
        # behind the back of the connection, which has read little of it yet
        file = folder / FILE_NAME
        data = bytearray(file.read_bytes())
        at = 40 * 4096
        with file.open("r+b") as handle:
            handle.seek(at)
            handle.write(bytes(4096))
        assert any(data[at : at + 4096])
        assert await kept(store) == [], "found while it was read: nothing is sent before it all came over"
        await store.append(statuses(1, first=6), NOW_US)
        while await store.mend(NOW_US):
            pass
        records = await all_kept(store)
        assert numbers(one for _, one in records) == [1, 2, 3, 4, 5, 6]
        assert len([one for _, one in records if one.sequence <= BLOCKS]) == BLOCKS - 1
        assert {name for name, one in records if one.sequence <= BLOCKS + 5} == {generation}
        assert store.generation != generation
        assert store.queue.card == "ok"
    assert len(asides(folder)) == 1


async def test_what_is_not_whole_is_not_looked_through_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    await filled(tmp_path)
    monkeypatch.setattr(store_file, "CHECK_S_MAX", 0.0)
    caplog.set_level("INFO")
    async with opened(tmp_path) as store:
        assert len(await kept(store)) == 400
    assert "looked through in part" in caplog.text


async def test_a_transaction_that_fails_leaves_the_position_as_it_was(tmp_path: Path):
    async with opened(tmp_path) as store:
        file = store._keeper.file
        await store.append(statuses(2), NOW_US)

        async def give_up() -> None:
            async with file.transaction():
                await file.note("started", "never", NOW_US)
                await file.move_cursor(2)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await give_up()
        assert (file.position.last, file.position.acknowledged, store.queue.records) == (2, 0, 2)
        await store.append(statuses(1, first=3), NOW_US)
        assert numbers(await kept(store)) == [1, 2, 3]


@pytest.mark.parametrize("writes", range(1, 5))
async def test_a_write_that_fails_at_any_step_is_taken_back_and_made_again(tmp_path: Path, writes: int):
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        await store.append(statuses(2), NOW_US)
        card.writes_left = writes - 1
        await store.append(statuses(2, first=3), NOW_US)
        card.writes_left = None
        await store.append(statuses(1, first=5), UtcUs(NOW_US + 10_000_000))
        records = await kept(store)
        assert [one.sequence for one in records] == [1, 2, 3, 4, 5]
        assert numbers(records) == [1, 2, 3, 4, 5]


async def test_an_append_cancelled_at_any_moment_is_written_once_and_whole(tmp_path: Path):
    clock = SystemClock()
    async with opened(tmp_path) as store:
        for turns in range(24):
            first = 3 * turns + 1
            async with asyncio.TaskGroup() as group:
                append = group.create_task(store.append(statuses(2, first=first), NOW_US))
                for _ in range(turns // 2):
                    await clock.sleep_for(0)
                append.cancel()
                if turns % 2:  # and once more, while it tidies up
                    await clock.sleep_for(0)
                    append.cancel()
            await store.append(statuses(1, first=first + 2), NOW_US)
            records = await kept(store)
            found = numbers(records)
            assert [one.sequence for one in records] == list(range(1, len(records) + 1))
            assert found == sorted(set(found))
            # cancelled before it began, nothing of it stood in line
            assert found[-3:] == [first, first + 1, first + 2] or (turns < 4 and found[-1] == first + 2)


async def test_a_batch_stays_within_one_generation(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(6), NOW_US)
        await store.begin_generation(4, NOW_US)
        ids = [name for (name,) in look(tmp_path, "SELECT id FROM generation ORDER BY first_sequence")]
        for expected, cursor in (([1, 2, 3], 0), ([4, 5, 6], 0)):
            waiting = await store.waiting(frozenset({"status"}), 100, 1 << 40)
            assert numbers(waiting.records) == expected
            assert waiting.generation == ids.pop(0)
            assert waiting.acknowledged == cursor, "none of this generation"
            await store.acknowledge(waiting.records[-1].sequence)


async def test_kinds_that_nobody_asks_for_are_passed_over_without_reading_them_each_time(tmp_path: Path):
    async with opened(tmp_path) as store:
        for number in range(1, 4):
            await store.append([block(number), *statuses(1, first=number)], NOW_US)
        health = frozenset({"status"})
        waiting = await store.waiting(health, 2, 1 << 40)
        assert [one.sequence for one in waiting.records] == [2, 4]
        await store.acknowledge(6)
        await store.append([block(9)] * 5, NOW_US)
        assert await store.waiting(health, 9, 1 << 40) is None
        assert store._keeper.file._passed == (health, 11)
        assert (store.queue.records, store.queue.oldest_us) == (0, None)
        assert [one.sequence for one in await kept(store)] == [7, 8, 9, 10, 11]
        assert store.queue.records == 5
        await store.rewind(3)
        assert [one.sequence for one in await kept(store, health)] == [4, 6]


async def test_what_comes_behind_a_guess_waits_for_it(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(2), NOW_US)
        await store.append([block(1), *statuses(1, first=3)], NOW_US, boot=7)
        await store.append(statuses(1, first=4), NOW_US)
        assert numbers(await kept(store)) == [1, 2]
        await store.acknowledge(2)
        assert await kept(store) == []
        assert store.queue.records == 3
        await store.restamp(7, 0, NOW_US)
        assert numbers(await kept(store)) == [3, 4]


async def test_the_last_record_of_a_log_that_is_cut_off_is_not_given_again_under_its_number(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(3), NOW_US)
        await store.acknowledge(3)
    change(tmp_path, "DELETE FROM record WHERE sequence = 3")
    async with opened(tmp_path) as store:
        await store.append(statuses(1, first=4), NOW_US)
        assert [one.sequence for one in await kept(store)] == [4]


async def test_a_file_is_only_examined_once_it_is_open(tmp_path: Path):
    file = await StoreFile.open(tmp_path / FILE_NAME, connect_sqlite)
    assert file.is_in_place()
    assert not file.owns_log()
    await file.examine(check=True)
    assert file.is_in_place()
    assert file.owns_log()
    assert file.position.generations == []
    await file.close()


@pytest.mark.slow
async def test_bytes_flipped_anywhere_end_in_a_store_or_a_setting_error(tmp_path: Path):
    whole, chance = await filled(tmp_path), random.Random(5)
    for attempt in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 20])):
            # Half of them where the head and the schema are.
            damaged[chance.randrange(chance.choice([len(whole), 200]))] = chance.randrange(256)
        folder = tmp_path / str(attempt)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(damaged)
        try:
            store = await Store.open(folder, NOW_US)
        except SettingError:
            continue
        await store.append(statuses(1), NOW_US)
        assert (await kept(store) or store.queue.records) is not None
        await store.close()
