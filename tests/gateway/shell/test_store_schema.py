import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from firmware_bridge.errors import SettingError
from gateway.contract.records import encode_record
from gateway.shell.database import connect_sqlite
from gateway.shell.store import FILE_NAME
from gateway.shell.store_schema import APPLICATION_ID, migrations
from tests.sim.stores import NOW_US, asides, block, change, kept, look, numbers, opened, status, statuses

GENERATION = "0123456789abcdef" * 2
NEWEST = len(migrations())


def file_of_version(folder: Path, version: int, records: int) -> None:
    """A file as the gateway of that version left it, with data."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as file:
        file.execute("PRAGMA auto_vacuum=INCREMENTAL")
        file.execute("PRAGMA journal_mode=WAL")
        for script in migrations()[:version]:
            file.executescript(script)
        file.execute(f"PRAGMA application_id={APPLICATION_ID}")
        file.execute(f"PRAGMA user_version={version}")
        generation = "INSERT INTO store VALUES (?, 17)" if version == 1 else "INSERT INTO generation VALUES (1, ?)"
        file.execute(generation, (GENERATION,))
        columns = "sequence, recorded_us, kind, body"
        for number in range(1, records + 1):
            row = (number, NOW_US + number, "status", encode_record(status(number)))
            file.execute(f"INSERT INTO record ({columns}) VALUES (?, ?, ?, ?)", row)
        file.execute("UPDATE cursor SET sequence = 3 WHERE name = 'sync'")
        file.commit()


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
async def test_every_version_is_brought_up_with_its_data(tmp_path: Path, version: int):
    file_of_version(tmp_path, version, records=300)
    for _ in range(2):
        async with opened(tmp_path) as store:
            assert store.generation == GENERATION
            assert (store.queue.acknowledged, store.queue.records) == (3, 297)
            assert numbers(await kept(store)) == list(range(4, 301))
    async with opened(tmp_path) as store:
        await store.append(statuses(1, first=301), NOW_US)
        assert (await kept(store))[-1].sequence == 301
    assert look(tmp_path, "PRAGMA user_version") == [(NEWEST,)]
    assert look(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    assert asides(tmp_path) == []


async def test_what_version_1_had_sent_home_may_be_deleted_and_what_it_had_not_stays(tmp_path: Path):
    file_of_version(tmp_path, 1, records=10)
    async with opened(tmp_path) as store:
        await store.prune(NOW_US * 2)
        assert look(tmp_path, "SELECT min(sequence), count(*) FROM record") == [(4, 7)]


async def test_each_version_has_the_tables_of_the_one_before_or_says_what_became_of_them(tmp_path: Path):
    for version, script in enumerate(migrations(), 1):
        assert f"version {version}" in script.lower()


async def test_commits_reach_the_card_before_they_are_told(tmp_path: Path):
    async with opened(tmp_path) as store:
        database = store._keeper.file.database
        settings = {"synchronous": 2, "journal_mode": "wal", "auto_vacuum": 2, "temp_store": 2, "secure_delete": 2}
        for pragma, value in settings.items():
            assert await database.query(f"PRAGMA {pragma}") == [(value,)], pragma


async def test_the_tables_are_in_the_file_itself_before_anything_is_told(tmp_path: Path):
    async with opened(tmp_path):
        (tmp_path / "copy").mkdir()
        # without its log: what a power cut leaves that takes all that was not moved into the file
        (tmp_path / "copy" / FILE_NAME).write_bytes((tmp_path / FILE_NAME).read_bytes())
        assert look(tmp_path / "copy", "SELECT count(*) FROM record") == [(0,)]


async def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(1), NOW_US)
    change(tmp_path, "CREATE TABLE later (x)")
    change(tmp_path, f"PRAGMA user_version={NEWEST + 1}")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(SettingError, match=f"version {NEWEST + 1}"):
        async with opened(tmp_path):
            pass
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert asides(tmp_path) == []


async def test_a_version_that_its_tables_do_not_have_is_damage(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(3), NOW_US)
    change(tmp_path, f"PRAGMA user_version={NEWEST + 1}")
    async with opened(tmp_path) as store:
        assert numbers(await kept(store)) == [1, 2, 3]
    assert len(asides(tmp_path)) == 1


async def test_an_append_writes_no_more_than_its_record_and_what_leads_there(tmp_path: Path):
    # Six pages: the leaf, three for what does not fit there, the head of the file, and the map of its pages.
    async with opened(tmp_path) as store:
        for number in range(50):
            await store.append([block(number, size=12_000)], NOW_US)
        before = (tmp_path / f"{FILE_NAME}-wal").stat().st_size
        for number in range(10):
            await store.append([block(number, size=12_000)], NOW_US)
        pages = ((tmp_path / f"{FILE_NAME}-wal").stat().st_size - before) / (4096 + 24)
    assert pages <= 10 * 6.5, "now and then a page above the leaves"


async def test_a_database_of_somebody_else_is_kept_aside(tmp_path: Path):
    database = await connect_sqlite(tmp_path / "other")
    await database.script("CREATE TABLE other (x);")
    await database.close()
    (tmp_path / "other").rename(tmp_path / FILE_NAME)
    async with opened(tmp_path) as store:
        await store.append(statuses(1), NOW_US)
    assert len(asides(tmp_path)) == 1
