import asyncio
import sqlite3
from pathlib import Path

import pytest

from firmware_bridge.clock import SystemClock
from gateway.shell.database import SqliteDatabase, StorageError, connect_sqlite, storage_error


async def test_a_transaction_is_whole_or_taken_back(tmp_path: Path):
    database = await connect_sqlite(tmp_path / "file")
    await database.script("CREATE TABLE t (x INTEGER PRIMARY KEY);")
    await database.execute("BEGIN IMMEDIATE")
    await database.execute_many("INSERT INTO t VALUES (?)", [(1,), (2,)])
    await database.commit()
    await database.execute("BEGIN IMMEDIATE")
    await database.execute("INSERT INTO t VALUES (?)", (3,))
    await database.rollback()
    for end in (database.commit, database.rollback):
        await end()  # outside of a transaction nothing happens
    assert await database.query("SELECT x FROM t WHERE x > ? ORDER BY x", (0,)) == [(1,), (2,)]
    await database.close()


@pytest.mark.parametrize(
    ("code", "card"),
    [
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read_only"),
        (sqlite3.SQLITE_IOERR_WRITE, "failing"),
        (sqlite3.SQLITE_CANTOPEN, "failing"),
        (sqlite3.SQLITE_BUSY, "failing"),
        (sqlite3.SQLITE_CORRUPT_INDEX, None),
        (sqlite3.SQLITE_NOTADB, None),
        (sqlite3.SQLITE_ERROR, None),
        (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, None),
    ],
)
def test_the_card_is_told_from_the_file(code: int, card: str | None):
    assert storage_error(code, "words").card == card


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"no database " * 100)
    database = await connect_sqlite(tmp_path / "file")
    with pytest.raises(StorageError) as caught:
        await database.query("SELECT * FROM sqlite_master")
    assert caught.value.card is None
    await database.close()


async def test_what_cannot_be_opened_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(StorageError) as caught:
        await connect_sqlite(tmp_path / "nowhere" / "file")
    assert caught.value.card == "failing"


async def test_text_of_a_damaged_page_is_some_text(tmp_path: Path):
    database = await connect_sqlite(tmp_path / "file")
    assert await database.query("SELECT CAST(x'ff61' AS TEXT)") == [("�a",)]
    await database.close()


async def test_our_own_mistake_is_no_trouble_of_the_card(tmp_path: Path):
    database = await connect_sqlite(tmp_path / "file")
    with pytest.raises(sqlite3.ProgrammingError):
        await database.query("SELECT ?", ())
    await database.close()


async def test_a_question_that_nobody_waits_for_is_given_up(tmp_path: Path):
    database = await SqliteDatabase.open(tmp_path / "file")
    endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    clock = SystemClock()
    async with asyncio.TaskGroup() as group:
        question = group.create_task(database.query(endless))
        await clock.sleep_for(0.05)  # it runs in its thread by now
        question.cancel()
    assert await database.query("SELECT 1") == [(1,)]
    await database.close()
