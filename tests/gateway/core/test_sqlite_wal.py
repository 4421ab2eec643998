"""The log read by our reader, beside the log read by SQLite itself."""

import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sqlite_wal import PAGE_SIZES, read_wal

FRAME_HEADER = 24


def frame_at(index: int, page_size: int = 4096) -> int:
    return 32 + index * (page_size + FRAME_HEADER)


def commits_of(wal: bytes, page_size: int = 4096) -> list[int]:
    """The frames that end a transaction."""
    count = (len(wal) - 32) // (page_size + FRAME_HEADER)
    return [i for i in range(count) if struct.unpack_from(">I", wal, frame_at(i, page_size) + 4)[0]]


def write(path: Path, page_size: int = 4096, commits: int = 6) -> tuple[bytes, bytes]:
    """A database and its log after some transactions of one row each, none of them checkpointed."""
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA page_size={page_size}")
        file.execute("PRAGMA journal_mode=WAL")
        for number in range(commits):
            if not number:
                file.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
            file.execute("INSERT INTO t VALUES (?, ?)", (number, random.Random(number).randbytes(page_size)))
            file.commit()
        return path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    return write(tmp_path_factory.mktemp("wal") / "a.sqlite")


def by_sqlite(folder: Path, database: bytes, wal: bytes) -> bytes:
    """The database as SQLite leaves it when it has taken in the log."""
    path = folder / "b.sqlite"
    path.write_bytes(database)
    path.with_name("b.sqlite-wal").write_bytes(wal)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    taken = path.read_bytes()
    path.unlink()
    return taken


def by_us(database: bytes, wal: bytes, page_size: int = 4096) -> bytes:
    pages = dict(enumerate((database[at : at + page_size] for at in range(0, len(database), page_size)), 1))
    pages |= {number: bytes(image) for number, image in read_wal(wal).committed.items()}
    return b"".join(image for _, image in sorted(pages.items()))


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_pages_of_every_size_are_found_as_sqlite_finds_them(tmp_path: Path, page_size: int):
    database, wal = write(tmp_path / "a.sqlite", page_size)
    assert read_wal(wal).page_size == page_size
    assert not read_wal(wal).hides_commits
    assert by_us(database, wal, page_size) == by_sqlite(tmp_path, database, wal)


def test_where_sqlite_stops_we_stop(tmp_path: Path, written: tuple[bytes, bytes]):
    """Bytes changed, cut off, put behind: what SQLite takes is what we call committed."""
    database, wal = written
    chance = random.Random(4)
    for _ in range(60):
        damaged = bytearray(wal)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        elif chance.random() < 0.3:
            damaged += chance.randbytes(chance.randrange(9000))
        else:
            damaged[chance.randrange(32, len(damaged))] ^= 1 << chance.randrange(8)
        assert by_us(database, bytes(damaged)) == by_sqlite(tmp_path, database, bytes(damaged))


def test_what_is_left_of_an_earlier_round_is_not_taken(tmp_path: Path):
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
        for number in range(20):
            file.execute("INSERT INTO t VALUES (?, ?)", (number, bytes(4000)))
            file.commit()
        file.execute("PRAGMA wal_checkpoint(RESTART)")
        file.execute("INSERT INTO t VALUES (99, x'00')")
        file.commit()
        database, wal = path.read_bytes(), path.with_name("a.sqlite-wal").read_bytes()
    log = read_wal(wal)
    assert len(wal) > frame_at(20)
    assert len(log.committed) < 4
    assert (log.behind, log.hides_commits) == ([], False)
    assert by_us(database, wal) == by_sqlite(tmp_path, database, wal)


def test_a_log_that_ends_within_a_commit_is_that_of_a_power_cut(written: tuple[bytes, bytes]):
    _, wal = written
    last, before = commits_of(wal)[-1], commits_of(wal)[-2]
    for index in range(before + 1, last + 1):
        torn = bytearray(wal)
        torn[frame_at(index) + FRAME_HEADER] ^= 1
        assert not read_wal(bytes(torn)).hides_commits
    for end in range(0, len(wal), 997):
        assert not read_wal(wal[:end]).hides_commits


def test_a_commit_behind_a_damaged_one_is_noticed(written: tuple[bytes, bytes]):
    """It is dropped by SQLite without a word; its pages can be had."""
    _, wal = written
    whole = read_wal(wal).committed
    for index in range(commits_of(wal)[-2] + 1):
        damaged = bytearray(wal)
        damaged[frame_at(index) + FRAME_HEADER + 100] ^= 1
        log = read_wal(bytes(damaged))
        assert log.hides_commits, index
        behind = dict(reversed(log.behind))
        assert {number: bytes(one) for number, one in (log.committed | behind).items()}.keys() == whole.keys()
        assert bytes(behind[max(whole)]) == bytes(whole[max(whole)])


@pytest.mark.parametrize("at", range(32))
def test_a_log_without_a_header_is_read_all_the_same(written: tuple[bytes, bytes], at: int):
    _, wal = written
    damaged = bytearray(wal)
    damaged[at] ^= 0xFF
    log = read_wal(bytes(damaged))
    assert log.page_size == 4096
    assert log.hides_commits
    assert log.committed == {}
    newest = {number: bytes(image) for number, image in reversed(log.behind)}
    assert newest == {number: bytes(image) for number, image in read_wal(wal).committed.items()}


@given(st.binary(max_size=2000))
def test_what_is_no_log_holds_nothing(data: bytes):
    assert read_wal(data) == (None, {}, [], False)
