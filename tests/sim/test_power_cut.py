"""The card keeps what was synced, and of the rest what chance wants; SQLite on it shows what that means."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

from tests.sim.power_cut import SECTOR_BYTES, Card, CardFile, Deleted, Replaced, Synced, Truncated, Written


def outcomes(file: CardFile, tries: int = 300) -> set[bytes | None]:
    chance = Random(1)
    found = (file.after_cut(chance, chance.random()) for _ in range(tries))
    return {None if data is None else bytes(data) for data in found}


def test_what_was_synced_stays():
    file = CardFile(None)
    for event in (Written(0, b"abc"), Written(1, b"xy"), Truncated(2), Synced()):
        file.take(event)
    assert outcomes(file) == {b"ax"}


def test_what_was_not_synced_stays_wholly_or_not_at_all_or_by_sectors():
    file = CardFile(bytearray(b"0" * 1024))
    file.take(Written(256, b"1" * 512))
    ends = [first * 256 + second * 256 for first in (b"0", b"1") for second in (b"0", b"1")]
    assert outcomes(file) == {b"0" * 256 + end + b"0" * 256 for end in ends}
    assert SECTOR_BYTES == 512


def test_later_writes_may_stay_where_earlier_ones_do_not():
    file = CardFile(bytearray(b"00"))
    file.take(Written(0, b"1"))
    file.take(Written(1, b"1"))
    assert outcomes(file) == {b"00", b"01", b"10", b"11"}


def test_a_hole_is_filled_with_zeros_and_a_truncation_may_not_have_happened():
    file = CardFile(bytearray(b"ab"))
    file.take(Written(3, b"d"))
    assert outcomes(file) == {b"ab", b"ab\0d"}
    file = CardFile(bytearray(b"ab"))
    file.take(Truncated(1))
    assert outcomes(file) == {b"ab", b"a"}


def test_a_file_that_was_made_or_deleted_is_certain_only_when_synced():
    made = CardFile(None)
    made.take(Written(0, b"a"))
    assert outcomes(made) == {None, b"", b"a"}
    deleted = CardFile(bytearray(b"a"))
    deleted.take(Deleted(is_synced=False))
    assert outcomes(deleted) == {None, b"a"}
    deleted.take(Deleted(is_synced=True))
    assert outcomes(deleted) == {None}


def test_a_file_written_whole_is_there_at_once():
    file = CardFile(bytearray(b"old"))
    file.take(Replaced(b"new"))
    assert outcomes(file) == {b"new"}


async def test_the_card_after_the_last_event_is_the_folder(tmp_path: Path):
    card = Card(tmp_path, beside=["note"])
    database = await card.connect(tmp_path / "a.sqlite")
    await database.query("PRAGMA journal_mode=WAL")
    await database.execute("PRAGMA synchronous=FULL")
    await database.script("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    (tmp_path / "note").write_text("beside")
    await database.execute("INSERT INTO t VALUES (2)")
    (last,) = card.cut([len(card.events)], Random(1))
    assert last == {name: (tmp_path / name).read_bytes() for name in ("a.sqlite", "a.sqlite-wal", "note")}
    (first,) = card.cut([0], Random(1))
    assert first == {}
    await database.close()


async def test_sqlite_loses_without_syncs_what_it_keeps_with_them(tmp_path: Path):
    for synchronous, is_lossless in (("FULL", True), ("NORMAL", False)):
        folder = tmp_path / synchronous
        folder.mkdir()
        card = Card(folder, synchronous=synchronous)
        database = await card.connect(folder / "a.sqlite")
        await database.query("PRAGMA journal_mode=WAL")
        await database.execute("PRAGMA synchronous=FULL")
        await database.script("CREATE TABLE t (n); PRAGMA wal_checkpoint(TRUNCATE)")
        answered = []
        for number in range(20):
            await database.execute("INSERT INTO t VALUES (?)", [number])
            answered.append(len(card.events))
        cuts = [end for end in answered for _ in range(3)]
        kept = []
        for number, image in enumerate(card.cut(cuts, Random(1))):
            (there := folder / str(number)).mkdir()
            for name, data in image.items():
                (there / name).write_bytes(data)
            with closing(sqlite3.connect(there / "a.sqlite")) as file:
                ((rows,),) = file.execute("SELECT count(*) FROM t")
            kept.append(rows == number // 3 + 1)
        assert all(kept) == is_lossless
        await database.close()
