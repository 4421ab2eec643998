"""Damaged files: what is whole is given, as it was stored, and nothing else."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.records import AnomalyRecord, ReadingsBlock, Record, StatusRecord, encode_record
from gateway.core.salvage import KINDS, SalvagedRecord, salvage

NOW_US = UtcUs(1_700_000_000_000_000)
DAY_US = 86_400_000_000
IDS = ("a1" * 16, "b2" * 16)
TABLES = """
CREATE TABLE generation (first_sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, begun_us INTEGER NOT NULL);
CREATE TABLE record (
  sequence INTEGER PRIMARY KEY, recorded_us INTEGER NOT NULL, kind TEXT NOT NULL, boot INTEGER, body BLOB NOT NULL);
CREATE TABLE cursor (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
"""


class Written(NamedTuple):
    """A store's file, its log, and what was stored."""

    database: bytes
    wal: bytes
    records: dict[int, SalvagedRecord]


def status(sequence: int, boot: int | None = None) -> SalvagedRecord:
    at_us = UtcUs(NOW_US + sequence)
    return row(sequence, StatusRecord(at_us, "started", "1.0", f"number {sequence}"), boot)


def block(sequence: int, size: int = 12_000) -> SalvagedRecord:
    """A record of about so many bytes: larger than a page."""
    codes = [random.Random(sequence).randbytes(size)]
    at_us = UtcUs(NOW_US + sequence)
    return row(sequence, ReadingsBlock(at_us, 60, at_us, at_us, [], codes, [], [], [], [], b""))


def row(sequence: int, record: Record, boot: int | None = None) -> SalvagedRecord:
    kind = str(record.__struct_config__.tag)
    return SalvagedRecord(sequence, UtcUs(NOW_US + sequence), kind, boot, encode_record(record))


class Writer:
    """A store's file, written by SQLite."""

    def __init__(self, path: Path, page_size: int = 4096) -> None:
        self._path = path
        self.file = sqlite3.connect(path)
        self.file.execute(f"PRAGMA page_size={page_size}")
        self.file.execute("PRAGMA auto_vacuum=INCREMENTAL")
        self.file.execute("PRAGMA journal_mode=WAL")
        self.file.execute("PRAGMA synchronous=OFF")
        self.file.execute("PRAGMA secure_delete=OFF")  # else nothing is left of what was deleted
        self.file.executescript(TABLES)
        self.file.execute("INSERT INTO cursor VALUES ('sync', 7)")
        self.file.executemany("INSERT INTO generation VALUES (?, ?, 5)", [(1, IDS[0]), (20, IDS[1])])
        self.file.commit()

    def add(self, *records: SalvagedRecord) -> None:
        self.file.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", records)
        self.file.commit()

    def checkpoint(self) -> None:
        self.file.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def bytes(self) -> tuple[bytes, bytes]:
        return self._path.read_bytes(), self._path.with_name(self._path.name + "-wal").read_bytes()


def write(folder: Path, page_size: int = 4096) -> Written:
    """Small records and large ones, half of them checkpointed."""
    records = [status(n) if n % 3 else block(n) for n in range(1, 61)] + [status(n, boot=4) for n in range(61, 64)]
    writer = Writer(folder / "a.sqlite", page_size)
    with closing(writer.file):
        for place, record in enumerate(records):
            writer.add(record)
            if place == len(records) // 2:
                writer.checkpoint()
        return Written(*writer.bytes(), {record.sequence: record for record in records})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(tmp_path_factory.mktemp("salvage"))


@pytest.mark.parametrize("page_size", [512, 4096, 65_536])
def test_all_of_an_undamaged_file_is_given(tmp_path: Path, page_size: int):
    written = write(tmp_path, page_size)
    found = salvage(written.database, written.wal)
    assert list(found.records) == list(written.records.values())
    assert list(found.records) == list(written.records.values()), "it can be asked for again"
    assert found.generations == [(1, IDS[0]), (20, IDS[1])]
    assert (found.acknowledged, found.last_sequence) == (7, 63)


def test_every_kind_of_record_is_known():
    assert {"readings", "raw", "forecast", "anomaly", "decision", "model_report", "status"} == KINDS


@pytest.mark.parametrize("head", [0, 16, 100, 4096, 8192])
def test_neither_header_nor_schema_nor_root_is_needed(written: Written, head: int):
    found = salvage(bytes(head) + written.database[head:], written.wal)
    assert {record.sequence: record for record in found.records} == written.records


def test_a_header_that_tells_another_page_size_is_not_believed(tmp_path: Path):
    writer = Writer(tmp_path / "a.sqlite", 1024)
    with closing(writer.file):
        writer.add(*map(status, range(1, 200)))
        writer.checkpoint()
        database, _ = writer.bytes()
    for told in (b"\x02\x00", b"\x08\x00", b"\x10\x00", b"\x00\x01", b"\x00\x00", b"\xff\xff"):
        found = salvage(database[:16] + told + database[18:])
        assert [record.sequence for record in found.records] == list(range(1, 200))


def test_nothing_is_given_that_was_not_stored(written: Written):
    """Every byte may be damaged: what is given is as it was, and everything else is still given."""
    chance = random.Random(1)
    for _ in range(60):
        database, wal = bytearray(written.database), bytearray(written.wal)
        for _ in range(chance.choice([1, 10, 200])):
            file = chance.choice([database, wal])
            file[chance.randrange(len(file))] = chance.randrange(256)
        found = {record.sequence: record for record in salvage(bytes(database), bytes(wal)).records}
        for sequence, record in found.items():
            assert record.body == written.records[sequence].body
            assert record.kind == written.records[sequence].kind
            assert abs(record.recorded_us - written.records[sequence].recorded_us) <= DAY_US


def test_a_file_cut_short_gives_what_is_left(written: Written):
    before = -1
    for end in range(0, len(written.database), 4096):
        found = list(salvage(written.database[:end]).records)
        assert all(written.records[record.sequence] == record for record in found)
        assert len(found) >= before
        before = len(found)
    assert before > 20


def test_the_log_alone_gives_what_was_not_checkpointed(written: Written):
    found = {record.sequence for record in salvage(b"", written.wal).records}
    assert found >= set(range(34, 64))


def test_the_file_alone_gives_what_was_checkpointed(written: Written):
    found = {record.sequence for record in salvage(written.database).records}
    assert found == set(range(1, 33))


def test_records_in_a_log_behind_a_damaged_frame_are_given(written: Written):
    damaged = bytearray(written.wal)
    damaged[32 + 24 + 2000] ^= 1
    found = {record.sequence: record for record in salvage(written.database, bytes(damaged)).records}
    assert found == written.records


def test_deleted_records_that_home_has_are_left_out(tmp_path: Path):
    writer = Writer(tmp_path / "a.sqlite")
    with closing(writer.file):
        writer.add(*map(block, range(1, 40)))
        writer.checkpoint()
        writer.file.execute("UPDATE cursor SET sequence = 15")
        writer.file.execute("DELETE FROM record WHERE sequence < 25")
        writer.file.commit()
        whole = [record.sequence for record in salvage(*writer.bytes()).records]
        writer.checkpoint()
        database, _ = writer.bytes()
    assert set(whole) >= set(range(25, 40))
    assert min(whole) > 15
    # where nobody can tell any more what was deleted, all of it is given
    unlisted = database[:32] + bytes(8) + database[40:]
    assert {record.sequence for record in salvage(unlisted).records} > set(whole)


def test_a_record_that_was_stamped_anew_is_given_once_and_as_it_is_now(tmp_path: Path):
    writer = Writer(tmp_path / "a.sqlite")
    with closing(writer.file):
        writer.add(*(status(n, boot=3) for n in range(1, 9)))
        writer.checkpoint()
        writer.file.execute("UPDATE record SET boot = NULL, recorded_us = recorded_us + 5")
        writer.file.commit()
        database, wal = writer.bytes()
    for damaged in (wal, wal[:40] + b"\xff" + wal[41:]):
        found = list(salvage(database, damaged).records)
        assert [record.sequence for record in found] == list(range(1, 9))
    assert {record.boot for record in salvage(database, wal).records} == {None}


def test_a_file_of_the_first_version_is_salvaged(tmp_path: Path):
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(
            "CREATE TABLE store (generation TEXT NOT NULL, created_us INTEGER NOT NULL);"
            "CREATE TABLE record (sequence INTEGER PRIMARY KEY, recorded_us INTEGER NOT NULL, kind TEXT NOT NULL,"
            " body BLOB NOT NULL);"
            "CREATE TABLE cursor (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;"
            f"INSERT INTO store VALUES ('{IDS[0]}', 5); INSERT INTO cursor VALUES ('sync', 3);"
        )
        records = [status(number) for number in range(1, 6)]
        rows = [(one.sequence, one.recorded_us, one.kind, one.body) for one in records]
        file.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)
        file.commit()
    found = salvage(path.read_bytes())
    assert list(found.records) == records
    assert (found.generations, found.acknowledged) == ([(1, IDS[0])], 3)


def test_when_a_record_was_recorded_is_told_from_itself_where_the_row_cannot_be_right(tmp_path: Path):
    writer = Writer(tmp_path / "a.sqlite")
    with closing(writer.file):
        rows = [(status(1), 0), (block(2), -(2**60)), (status(3), NOW_US + DAY_US), (block(4), NOW_US + 2 * DAY_US)]
        writer.add(*(one._replace(recorded_us=UtcUs(at_us)) for one, at_us in rows))
        found = list(salvage(*writer.bytes()).records)
    assert [one.recorded_us - NOW_US for one in found] == [1, 2, DAY_US, 4]


def test_what_is_no_record_is_passed_over(tmp_path: Path):
    anomaly = AnomalyRecord(NOW_US, "silent", "grid", NOW_US, None, None, None, "silent")
    odd = [
        status(1)._replace(body=b"nothing"),
        status(2)._replace(kind="anomaly"),
        row(3, anomaly)._replace(body=encode_record(anomaly) + b"x"),
        status(4),
        status(2**50),
    ]
    writer = Writer(tmp_path / "a.sqlite")
    with closing(writer.file):
        writer.add(*odd)
        found = salvage(*writer.bytes())
    assert list(found.records) == [status(4)]
