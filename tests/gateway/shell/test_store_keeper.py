import shutil
from pathlib import Path

import pytest

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.shell.card_state import RETRY_US
from gateway.shell.database import connect_sqlite
from gateway.shell.generations import FILE_NAME as GENERATIONS
from gateway.shell.generations import read_journal
from gateway.shell.store import FILE_NAME, Store
from gateway.shell.store_keeper import DAMAGES_MAX, DAMAGES_US
from tests.sim.small_disk import run_on_small_disk
from tests.sim.stores import NOW_US, all_kept, asides, block, events, kept, look, numbers, opened, statuses
from tests.sim.weak_card import WeakCard


def later(seconds: float) -> UtcUs:
    return UtcUs(NOW_US + round(seconds * 1_000_000))


# --- the file loses its place ----------------------------------------------------------------------


def remove(folder: Path) -> None:
    for path in folder.glob("store.sqlite*"):
        path.unlink()


def remove_the_file_alone(folder: Path) -> None:
    (folder / FILE_NAME).unlink()


def remove_the_log_alone(folder: Path) -> None:
    (folder / f"{FILE_NAME}-wal").unlink()


def remove_everything(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def move(folder: Path) -> None:
    (folder / FILE_NAME).rename(folder / "moved.sqlite")


def put_garbage(folder: Path) -> None:
    (folder / "garbage").write_bytes(b"garbage " * 4096)
    (folder / "garbage").replace(folder / FILE_NAME)


def put_old_copy(folder: Path) -> None:
    (folder / "copy").replace(folder / FILE_NAME)


def put_a_folder(folder: Path) -> None:
    remove(folder)
    (folder / FILE_NAME).mkdir()


@pytest.mark.parametrize(
    "replace",
    [
        remove,
        remove_the_file_alone,
        remove_the_log_alone,
        remove_everything,
        move,
        put_garbage,
        put_old_copy,
        put_a_folder,
    ],
)
async def test_a_file_that_lost_its_place_in_mid_run_is_put_back_with_all_it_held(tmp_path: Path, replace):
    folder = tmp_path / "data"
    async with opened(folder) as store:
        await store.append(statuses(5), NOW_US)
    (folder / "copy").write_bytes((folder / FILE_NAME).read_bytes())
    async with opened(folder) as store:
        first = store.generation
        await store.append(statuses(600, first=6), NOW_US)
        await store.acknowledge(3)
        replace(folder)
        await store.append(statuses(1, first=606), NOW_US)
        while await store.mend(NOW_US):
            pass
        assert store.generation != first
        assert store.queue.acknowledged == 3
        records = await all_kept(store)
        assert numbers(one for _, one in records) == list(range(4, 607))
        assert [(name, one.sequence) for name, one in records[:602]] == [(first, number) for number in range(4, 606)]
        assert {name for name, _ in records[602:]} == {store.generation}
        assert events(one for _, one in records) == ["generation_begun"]
        await store.rewind(0)
        assert numbers(await kept(store))[:3] == [1, 2, 3], "what is at home was kept as well"
        await store.append(statuses(1, first=607), NOW_US)
        assert look(folder, "PRAGMA integrity_check") == [("ok",)]
    async with opened(folder) as store:
        assert numbers(one for _, one in await all_kept(store)) == list(range(1, 608))
    is_kept = replace in (put_garbage, put_old_copy, put_a_folder, remove_the_log_alone)
    assert len(asides(folder, "replaced")) == is_kept
    assert asides(folder) == []


async def test_a_replaced_file_is_noticed_before_anything_of_it_is_sent(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(5), NOW_US)
        remove(tmp_path)
        assert numbers(await kept(store)) == [1, 2, 3, 4, 5]
        assert len(read_journal(tmp_path).generations) == 2


async def test_a_stop_waits_until_a_lost_file_is_safe(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(3_000), NOW_US)
        remove(tmp_path)
        await store.append(statuses(1, first=3_001), NOW_US)
        assert await kept(store) == [], "not all of it has come over"
    async with opened(tmp_path) as store:
        assert numbers(one for _, one in await all_kept(store)) == list(range(1, 3_002))


async def test_a_file_that_loses_its_place_again_and_again_loses_nothing(tmp_path: Path):
    async with opened(tmp_path) as store:
        for number in range(1, 8):
            await store.append(statuses(200, first=200 * number), NOW_US)
            remove(tmp_path)
        await store.append(statuses(1, first=1_600), NOW_US)
        while await store.mend(NOW_US):
            pass
        records = await all_kept(store)
        assert numbers(one for _, one in records) == list(range(200, 1_601))
        assert [one.sequence for _, one in records] == sorted({one.sequence for _, one in records})
        assert store.queue.records == len(records)


# --- a generation of its own -----------------------------------------------------------------------


async def test_from_a_conflict_on_records_are_another_generation_and_sent_again(tmp_path: Path):
    async with opened(tmp_path) as store:
        first = store.generation
        await store.append(statuses(9), NOW_US)
        await store.acknowledge(7)
        await store.begin_generation(5, NOW_US)
        assert store.queue.acknowledged == 4
        records = await all_kept(store)
        assert [one.sequence for _, one in records] == [5, 6, 7, 8, 9, 10]
        assert {name for name, _ in records} == {store.generation} != {first}
        assert events(one for _, one in records) == ["generation_begun"]
        second = store.generation
        await store.begin_generation(5, NOW_US)
        assert store.generation not in (first, second)
        await store.begin_generation(99, NOW_US)
        assert look(tmp_path, "SELECT first_sequence FROM generation") == [(1,), (5,), (12,)]
    journal = read_journal(tmp_path)
    assert [number for number, _ in journal.generations] == [1, 5, 12]
    async with opened(tmp_path) as store:
        assert store.generation == journal.generations[-1][1]


async def test_a_list_of_generations_that_is_lost_or_old_is_written_anew(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(3), NOW_US)
        old = (tmp_path / GENERATIONS).read_bytes()
        await store.begin_generation(2, NOW_US)
    whole = read_journal(tmp_path)
    for harm in (old, b"garbage", None):
        (tmp_path / GENERATIONS).unlink()
        if harm is not None:
            (tmp_path / GENERATIONS).write_bytes(harm)
        async with opened(tmp_path):
            pass
        assert read_journal(tmp_path) == whole


async def test_a_store_that_lost_all_its_files_begins_at_the_beginning(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(3), NOW_US)
        first = store.generation
    remove(tmp_path)
    async with opened(tmp_path) as store:
        await store.append(statuses(1), NOW_US)
        ((name, record),) = await all_kept(store)
        assert (name == first, record.sequence) == (False, 1)


# --- the card --------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", ["full", "read_only", "failing"])
async def test_a_gateway_starts_on_a_card_that_is_away_and_writes_when_it_is_back(tmp_path: Path, card: str):
    away = WeakCard()
    away.card = card
    async with opened(tmp_path, connect=away.connect) as store:
        assert (store.queue.card, store.generation, store.newest_us) == (card, "", None)
        await store.append([block(3), *statuses(2)], NOW_US)
        assert await kept(store) == []
        await store.acknowledge(0)
        await store.prune(NOW_US)
        assert [one.start_us async for one in store.blocks_since(UtcUs(0))] == [3]
        assert (store.queue.records, store.queue.ring_records) == (0, 3)
        away.card = "ok"
        await store.append(statuses(1, first=3), later(1))
        assert store.queue.card == card, "not tried so soon"
        await store.append(statuses(1, first=4), later(RETRY_US / 1e6))
        assert (store.queue.card, store.queue.ring_records) == ("ok", 0)
        assert numbers(await kept(store)) == [1, 2, 3, 4]


async def test_a_log_that_was_damaged_while_the_card_was_away_hides_no_record(tmp_path: Path):
    """SQLite reads it up to the damage, and would write over the rest."""
    before, folder = tmp_path / "before", tmp_path / "after"
    async with opened(before) as store:
        for number in range(1, 21):
            await store.append(statuses(1, first=number), NOW_US)
        shutil.copytree(before, folder)  # as a power cut leaves it
    log = folder / f"{FILE_NAME}-wal"
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    log.write_bytes(damaged)
    away = WeakCard()
    away.card = "failing"
    async with opened(folder, connect=away.connect) as store:
        away.card = "ok"
        await store.append(statuses(1, first=21), later(RETRY_US / 1e6))
        while await store.mend(NOW_US):
            pass
        assert numbers(await kept(store)) == list(range(1, 21))
        assert asides(folder)


async def test_a_clock_that_is_set_back_does_not_put_off_the_next_try(tmp_path: Path):
    away = WeakCard()
    async with opened(tmp_path, connect=away.connect) as store:
        away.card = "full"
        await store.append(statuses(1), NOW_US)
        away.card = "ok"
        await store.append(statuses(1, first=2), UtcUs(0))
        assert store.queue.card == "ok"


async def test_a_card_that_cannot_even_be_read_keeps_what_it_had(tmp_path: Path):
    away = WeakCard()
    async with opened(tmp_path, connect=away.connect) as store:
        await store.append(statuses(2), NOW_US)
        away.card, away.is_gone = "failing", True
        assert await kept(store) == []
        await store.append(statuses(1, first=3), later(1))
        assert [one async for one in store.blocks_since(UtcUs(0))] == []
        away.card = "ok"
        await store.append(statuses(1, first=4), later(7))
        assert numbers(await kept(store)) == [1, 2, 3, 4]


async def test_a_card_that_damages_every_file_gets_no_more_of_them(tmp_path: Path):
    async with opened(tmp_path) as store:
        for turn in range(3 * DAMAGES_MAX):
            await store.append(statuses(1, first=turn), later(10 * turn))
            if store.queue.card == "ok":
                await store._keeper.file.database.script("DROP TABLE record;")
        assert len(asides(tmp_path)) == DAMAGES_MAX
        assert store.queue.card == "failing"
        assert store.queue.ring_records > 0
        await store.append(statuses(1, first=99), later(DAMAGES_US / 1e6 + 60))
        assert store.queue.card == "ok"
        assert store.queue.ring_records == 0
        assert numbers(one for _, one in await all_kept(store))[-1] == 99


async def test_a_second_gateway_on_the_same_folder_is_refused(tmp_path: Path):
    async with opened(tmp_path) as store:
        with pytest.raises(ConflictError, match="in use by another gateway"):
            await Store.open(tmp_path, NOW_US)
        await store.append(statuses(1), NOW_US)
    async with opened(tmp_path) as store:
        assert store.queue.records == 1


async def test_a_file_that_is_a_folder_is_for_the_installer_to_mend(tmp_path: Path):
    (tmp_path / FILE_NAME).mkdir()
    for _ in range(2):  # the first refusal holds nothing
        with pytest.raises(SettingError) as caught:
            await Store.open(tmp_path, NOW_US)
        assert (caught.value.field, caught.value.value) == ("store.folder", str(tmp_path))


async def test_a_file_that_another_program_holds_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.shell.store_schema._SETTINGS", ("journal_mode=WAL", "busy_timeout=1"))
    async with opened(tmp_path) as store:
        other = await connect_sqlite(tmp_path / FILE_NAME)
        await other.execute("BEGIN IMMEDIATE")
        await store.append(statuses(1), NOW_US)
        assert (store.queue.card, store.queue.ring_records) == ("failing", 1)
        await other.rollback()
        await other.close()
        await store.append(statuses(1, first=2), later(6))
        assert numbers(await kept(store)) == [1, 2]


ON_A_SMALL_DISK = """
import asyncio, subprocess, sys
from pathlib import Path
from gateway.config import StoreConfig
from tests.sim.stores import block, kept, numbers, opened, statuses

DISK = Path(sys.argv[1])
LIMITS = StoreConfig(free_mb_min=0)

def remount(how):
    subprocess.run(["mount", "-o", "remount," + how, str(DISK)], check=True)

def fill():
    with (DISK / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass

async def write(store, numbers, now_s, card):
    for number in numbers:
        await store.append([block(number, size=20_000), *statuses(1, first=number)], now_s * 1_000_000 + number)
    assert store.queue.card == card, store.queue

async def main():
    folder = DISK / "data"
    async with opened(folder, 0, limits=LIMITS) as store:
        await write(store, range(1, 11), 0, "ok")
        fill()
        await write(store, range(11, 41), 10, "full")
        (DISK / "ballast").unlink()
        await write(store, range(41, 52), 20, "ok")
        assert numbers(await kept(store)) == list(range(1, 52))
    remount("ro")
    async with opened(folder, 0, limits=LIMITS) as store:
        await write(store, range(52, 55), 50, "read_only")
        remount("rw")
        await write(store, range(55, 56), 60, "ok")
        assert numbers(await kept(store)) == list(range(1, 56))
        await store.acknowledge(20)
    fill()
    async with opened(folder, 0, limits=LIMITS) as store:
        await write(store, range(56, 80), 70, "full")
        (DISK / "ballast").unlink()
        await write(store, range(80, 81), 80, "ok")
    fill()
    other = DISK / "other" / "data"
    async with opened(other, 0, limits=LIMITS) as store:
        await write(store, range(1, 5), 0, "full")
        (DISK / "ballast").unlink()
        await write(store, range(5, 6), 10, "ok")
        assert numbers(await kept(store)) == list(range(1, 6))
    print("done")

asyncio.run(main())
"""


@pytest.mark.slow
def test_full_and_read_only_disks_lose_nothing_in_mid_run_and_at_the_start(tmp_path: Path):
    assert run_on_small_disk(ON_A_SMALL_DISK, "12m", tmp_path).split() == ["done"]
