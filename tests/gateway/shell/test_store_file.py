import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.records import Record, StatusRecord
from gateway.shell.store import FILE_NAME, Store
from gateway.shell.store_file import SCHEMA_VERSION

NOW_US = UtcUs(1_700_000_000_000_000)


def statuses(count: int) -> list[Record]:
    return [StatusRecord(UtcUs(NOW_US + number), "started", "1.0", f"number {number}") for number in range(count)]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = await Store.open(folder, NOW_US)
    try:
        yield store
    finally:
        await store.close()


def set_aside(folder: Path) -> list[Path]:
    return list(folder.glob("damaged-*.sqlite"))


async def test_commits_reach_the_card_before_they_are_told(tmp_path: Path):
    async with opened(tmp_path) as store:
        for pragma, value in (("synchronous", 2), ("journal_mode", "wal"), ("auto_vacuum", 2)):
            assert next(iter(await store._connection.execute_fetchall(f"PRAGMA {pragma}"))) == (value,)


async def test_a_second_gateway_on_the_same_folder_is_refused(tmp_path: Path):
    async with opened(tmp_path) as store:
        with pytest.raises(ConflictError, match="in use by another gateway"):
            await Store.open(tmp_path, NOW_US)
        assert await store.append(statuses(1), NOW_US) == 1
    async with opened(tmp_path) as store:
        assert store.queue.records == 1


def stand_in_the_way(folder: Path) -> Path:
    folder.write_text("a file")
    return folder


def lie_under_a_file(folder: Path) -> Path:
    folder.write_text("a file")
    return folder / "store"


def make_the_lock_a_folder(folder: Path) -> Path:
    (folder / "store.lock").mkdir(parents=True)
    return folder


def make_the_file_a_folder(folder: Path) -> Path:
    (folder / FILE_NAME).mkdir(parents=True)
    return folder


def name_it_too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


@pytest.mark.parametrize(
    "spoil",
    [stand_in_the_way, lie_under_a_file, make_the_lock_a_folder, make_the_file_a_folder, name_it_too_long],
)
async def test_a_folder_that_cannot_be_used_is_a_setting_error(tmp_path: Path, spoil: Callable[[Path], Path]):
    folder = spoil(tmp_path / "data")
    for _ in range(2):  # the first refusal holds nothing
        with pytest.raises(SettingError) as caught:
            await Store.open(folder, NOW_US)
        assert (caught.value.field, caught.value.value) == ("store.folder", str(folder))


async def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(1), NOW_US)
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(SettingError, match=f"version {SCHEMA_VERSION + 1}"):
        await Store.open(tmp_path, NOW_US)
    assert path.read_bytes() == before
    assert set_aside(tmp_path) == []


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


@pytest.mark.parametrize("damage", [garbage, cut_short, zeroed_behind_the_head, zeroed_behind_the_first_page])
async def test_a_damaged_file_is_kept_aside_and_a_new_generation_begun(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
):
    damaged = damage(await filled(tmp_path))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        (old,) = file.execute("SELECT generation FROM store").fetchone()
    (tmp_path / FILE_NAME).write_bytes(damaged)
    async with opened(tmp_path) as store:
        assert store.generation != old
        assert await store.append(statuses(1), NOW_US) == 1
        assert store.queue.records == 1
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == damaged
    assert aside.name in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM store",
        "DELETE FROM cursor",
        "DROP TABLE record",
        "UPDATE store SET generation = 'nonsense'",
        "UPDATE store SET generation = x'ff00'",
        "UPDATE cursor SET sequence = 'many'",
        "PRAGMA application_id = 7",
    ],
)
async def test_a_database_that_is_no_store_of_ours_is_kept_aside(tmp_path: Path, change: str):
    await filled(tmp_path, records=1)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.execute(change)
        file.commit()
    async with opened(tmp_path) as store:
        assert await store.append(statuses(1), NOW_US) == 1
    assert len(set_aside(tmp_path)) == 1


async def test_an_empty_file_left_by_a_power_cut_becomes_a_store(tmp_path: Path):
    (tmp_path / FILE_NAME).touch()
    async with opened(tmp_path) as store:
        assert await store.append(statuses(1), NOW_US) == 1
    assert set_aside(tmp_path) == []


@pytest.mark.slow
async def test_bytes_flipped_anywhere_end_in_a_store_or_a_setting_error(tmp_path: Path):
    whole, chance = await filled(tmp_path), random.Random(5)
    for attempt in range(120):
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
        await store.close()
