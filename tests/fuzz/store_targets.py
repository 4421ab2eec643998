"""What reads the gateway's own file when it is damaged."""

import sqlite3
import tempfile
from collections.abc import Hashable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec

from firmware_bridge.reading import UtcUs
from gateway.contract.records import Record, StatusRecord, decode_record, encode_record
from gateway.core.salvage import salvage
from gateway.core.sqlite_pages import VISITS_MAX
from gateway.core.sqlite_wal import PAGE_SIZES
from gateway.shell.generations import Journal, Salvage, decode_journal
from gateway.shell.raw_request import SECONDS_MAX, RawRequest, decode_request
from gateway.shell.store_schema import migrations
from tests.fuzz.target import BRIEF, Target

PAGE_BYTES = 512
# Two bytes in front of an input say how much of it is the file; the rest is its log.
_LENGTH_BYTES = 2
_AT_US = UtcUs(1_700_000_000_000_000)


def check_salvage(data: bytes) -> Hashable:
    """What is given is whole, in order, each sequence once, and no more than a file of that size can hold."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "big")
    file = data[_LENGTH_BYTES:]
    found = salvage(file[:length], file[length:])
    records = list(found.records)
    assert all(one.sequence < other.sequence for one, other in pairwise(records))
    assert len(records) <= len(file)
    on_leaves = len(records) * max(PAGE_SIZES)
    assert sum(len(record.body) for record in records) <= on_leaves + VISITS_MAX * len(file)
    for record in records:
        assert decode_record(record.body).__struct_config__.tag == record.kind
    assert found.acknowledged is None or found.acknowledged >= 0
    assert all(one < other for (one, _), (other, _) in pairwise(found.generations))
    return len(records), len(found.generations), found.acknowledged is None


def _status(number: int) -> Record:
    """Every fourth goes on on another page."""
    noise = "".join(chr(33 + number * step * step % 1000) for step in range(380)) if number % 4 == 3 else ""
    return StatusRecord(UtcUs(_AT_US + number), "started", "1.0", f"number {number} {noise}")


def _seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for name, records in (("few", 3), ("more", 12)):
            path = Path(folder) / name
            with closing(sqlite3.connect(path)) as file:
                file.execute(f"PRAGMA page_size={PAGE_BYTES}")
                file.execute("PRAGMA auto_vacuum=INCREMENTAL")
                file.execute("PRAGMA journal_mode=WAL")
                file.executescript("".join(migrations()))
                file.execute("INSERT INTO generation VALUES (1, ?)", ("a1" * 16,))
                file.commit()
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                for number in range(1, records):
                    if number == records // 2:
                        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    row = (number, _AT_US, "status", encode_record(_status(number)))
                    file.execute("INSERT INTO record VALUES (?, ?, ?, ?, NULL)", row)
                    file.commit()
                database, wal = path.read_bytes(), path.with_name(f"{name}-wal").read_bytes()
            yield len(database).to_bytes(_LENGTH_BYTES, "big") + database + wal
            yield len(database).to_bytes(_LENGTH_BYTES, "big") + database


def check_journal(data: bytes) -> Hashable:
    """The list of generations beside the store: what is taken is in order, and written and read again the same."""
    journal = decode_journal(data)
    if journal is None:
        return None
    firsts = [first for first, _ in journal.generations]
    assert all(one < other for one, other in pairwise(firsts))
    assert decode_journal(msgspec.json.encode(journal)) == journal
    return len(firsts), len(journal.salvages)


def check_raw_request(data: bytes) -> Hashable:
    """What somebody left for the gateway to keep."""
    try:
        request = decode_request(data)
    except ValueError:
        return None
    assert max(request.before_s, request.after_s) <= SECONDS_MAX
    return request.before_s > request.after_s


_JOURNAL = Journal([(1, "a1" * 16), (700, "b2" * 16)], [Salvage("damaged-1700000000000000.sqlite", 700, 1)])

TARGETS = [
    Target("salvage", check_salvage, _seeds(), [b"SQLite format 3\0", b"status", b"sync"], 32_768),
    Target(
        "generations", check_journal, [msgspec.json.encode(_JOURNAL)], [b"salvages", b"below", b"tries"], share=BRIEF
    ),
    Target("raw_request", check_raw_request, [msgspec.json.encode(RawRequest(60, 300))], share=BRIEF),
]
