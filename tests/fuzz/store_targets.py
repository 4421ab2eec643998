"""What reads the gateway's own file when it is damaged."""

import sqlite3
import tempfile
import zlib
from collections.abc import Hashable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import LOAD_SLOW
from gateway.contract.records import Record, StatusRecord, decode_record, encode_record
from gateway.core.salvage import salvage
from gateway.core.sqlite_pages import VISITS_MAX
from gateway.core.sqlite_wal import PAGE_SIZES
from gateway.core.track import Answer, Spoken, Track
from gateway.shell.generations import Journal, Salvage, decode_journal
from gateway.shell.raw_request import SECONDS_MAX, RawRequest, decode_request
from gateway.shell.store_schema import migrations
from gateway.shell.track_file import decode_tracks
from tests.fuzz.target import BRIEF, Target

PAGE_BYTES = 512
# Two bytes in front of an input say how much of it is the file; the rest is its log.
_LENGTH_BYTES = 2
_AT_US = UtcUs(1_700_000_000_000_000)
_FORECAST_US = _AT_US - _AT_US % LOAD_SLOW.step_us


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


def check_tracks(data: bytes) -> Hashable:
    """What forecasts have learnt, unpacked; a track that begins with it forecasts what can be."""
    try:
        saved = decode_tracks(zlib.compress(data, 0))
    except ValueError:
        return None
    kept = 0
    for one in saved:
        track = Track(LOAD_SLOW, "consumption_w", ZoneInfo("UTC"))
        try:
            track.restore(one)
        except ValueError:
            continue
        kept += 1
        for hour in (1, 2, 500):
            spoken = _look_ahead(track, UtcUs(_FORECAST_US + hour * 4 * LOAD_SLOW.step_us))
            assert all(-1e10 < watts < 1e10 for record in spoken.records for watts in record.p10 + record.p90)
        track.restore(track.save())
    return kept, len(saved)


def _look_ahead(track: Track, at_us: UtcUs) -> Spoken:
    steps = track.spec.history_steps
    past = track.past(1_000.0 + np.arange(steps) % 96, np.ones(steps, dtype=np.bool_), at_us)
    track.observe(past)
    output = np.zeros((track.spec.rows, len(track.spec.quantiles)), dtype=np.float32)
    return track.speak(past, Answer(output, "ab" * 32), was_asked=True, issued_us=at_us)


def _track_seeds() -> Iterator[bytes]:
    track = Track(LOAD_SLOW, "consumption_w", ZoneInfo("UTC"))
    for hour in range(2):
        yield msgspec.msgpack.encode([track.save()])
        _look_ahead(track, UtcUs(_FORECAST_US + hour * 4 * LOAD_SLOW.step_us))
    yield msgspec.msgpack.encode([track.save()])


_JOURNAL = Journal([(1, "a1" * 16), (700, "b2" * 16)], [Salvage("damaged-1700000000000000.sqlite", 700, 1)])

TARGETS = [
    Target("salvage", check_salvage, _seeds(), [b"SQLite format 3\0", b"status", b"sync"], 32_768),
    Target(
        "generations", check_journal, [msgspec.json.encode(_JOURNAL)], [b"salvages", b"below", b"tries"], share=BRIEF
    ),
    Target("raw_request", check_raw_request, [msgspec.json.encode(RawRequest(60, 300))], share=BRIEF),
    Target("tracks", check_tracks, _track_seeds(), bytes_max=32_768, share=BRIEF),
]
