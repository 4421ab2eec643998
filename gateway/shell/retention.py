"""What is deleted, and when: what is at home and old enough; and for want of room, in a stated order, much more.

For want of room go, the oldest first: what is at home; then of what is not the raw windows, the forecasts and the
readings. Those are counted and told. Status, anomalies, decisions and model reports stay.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.config import StoreConfig
from gateway.shell.database import Database, Row, StorageError
from gateway.shell.store_file import StoreFile
from gateway.shell.store_folder import refused
from gateway.shell.store_position import find_oldest, write_backlog

# One transaction, and once an hour: several times what an hour brings, and all that lie beside each other.
CHUNK_ROWS = 300
# Read to find so many, ten megabytes of full blocks: records that stay are passed over, not every one in every hour.
_SCAN_ROWS = 5_000
# At most so many in one hour, some hundred megabytes.
CHUNKS_MAX = 100
# Pages given back to the disk in one hour, eight megabytes: SQLite moves one page for each.
_VACUUM_PAGES = 2_000
# A store that is smaller does not fill a disk: to drop more of it would help nobody.
STORE_BYTES_MIN = 50_000_000
BYTES_PER_MB = 1_000_000
# Single readings that are at home: five times as many bytes as all else, and nothing here looks back on them.
RAW_DAYS_MAX = 7
_US_PER_DAY = 86_400 * US_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_AT_HOME = (
    "(sequence <= (SELECT sequence FROM cursor WHERE name = 'sync')"
    " AND sequence NOT IN (SELECT sequence FROM quarantine)"
    " AND instr((SELECT kinds FROM shared WHERE first_sequence <= record.sequence"
    " ORDER BY first_sequence DESC LIMIT 1), ' ' || kind || ' '))"
)
# The counter goes on from it.
_NOT_LAST = "sequence < (SELECT max(sequence) FROM record)"
_SCAN = (
    "SELECT max(sequence), count(*) FROM (SELECT sequence FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?)"
)
# What goes first for want of room. None: whatever is at home.
DROPPED_FIRST: tuple[str | None, ...] = (None, "raw", "forecast", "readings")


@dataclass(slots=True)
class Sweep:
    """How far the file has been looked through; forgotten with the process."""

    by_age: int = 0


async def drop_old(file: StoreFile, limits: StoreConfig, now_us: UtcUs, sweep: Sweep) -> bool:
    """Delete a chunk of what is at home and older than its kind is kept; whether there is more just there."""
    ((through, count),) = await file.database.query(_SCAN, (sweep.by_age, _SCAN_ROWS))
    days = limits.keep_acknowledged_days
    kept_since_us = [
        now_us - kept_days * _US_PER_DAY
        for kept_days in (max(limits.keep_forecasts_days, days), min(RAW_DAYS_MAX, days), days)
    ]
    rows = await file.database.query(
        "SELECT sequence, recorded_us, kind, length(body) FROM record"  # noqa: S608 - constants
        f" WHERE sequence > ? AND sequence <= ? AND {_AT_HOME} AND {_NOT_LAST}"
        " AND recorded_us < CASE kind WHEN 'forecast' THEN ? WHEN 'raw' THEN ? ELSE ? END ORDER BY sequence LIMIT ?",
        (sweep.by_age, through or 0, *kept_since_us, CHUNK_ROWS),
    )
    if len(rows) < CHUNK_ROWS:  # all that there were between: go on behind them, and at the end begin anew
        sweep.by_age = through if count == _SCAN_ROWS else 0
    if rows:
        async with file.transaction() as database:
            await _delete(database, file, rows)
    return len(rows) == CHUNK_ROWS


async def lacking_bytes(file: StoreFile, limits: StoreConfig, *, spares_small: bool = True) -> int:
    """How much has to be deleted for the limits to hold; pages that are free already count as deleted.

    With `spares_small` a store below `STORE_BYTES_MIN` does not answer for a disk without room.

    Raises:
        StorageError: the disk does not say.
    """
    used, file_size = await _sizes(file.database)
    too_large = used - limits.size_mb_max * BYTES_PER_MB
    if spares_small and used <= STORE_BYTES_MIN:
        return too_large
    to_be_free = limits.free_mb_min * BYTES_PER_MB - disk_free_bytes(file) - (file_size - used)
    return max(too_large, to_be_free)


async def drop_for_room(file: StoreFile, lacking: int, now_us: UtcUs) -> bool:
    """Delete of what goes first as much as is lacking, a chunk at most; whether another call may find more.

    Each looks through some thousand records, for readings wait meanwhile; what was looked through in vain is not
    again.
    """
    at = file.position
    for kind in DROPPED_FIRST:
        end = at.acknowledged if kind is None else at.last - 1
        after = at.kept_through.get(kind, 0)
        if after >= end:
            continue
        ((through, count),) = await file.database.query(_SCAN, (after, _SCAN_ROWS))
        which = _AT_HOME if kind is None else f"kind = '{kind}' AND NOT ifnull({_AT_HOME}, 0)"
        rows = await file.database.query(
            f"SELECT sequence, recorded_us, kind, length(body) FROM record WHERE {which}"  # noqa: S608 - constants
            f" AND sequence > ? AND sequence <= ? AND {_NOT_LAST} ORDER BY sequence LIMIT ?",
            (after, through or 0, CHUNK_ROWS),
        )
        if rows:
            sizes = accumulate(size for *_, size in rows)
            rows = [row for row, size in zip(rows, sizes, strict=True) if size - row[-1] < lacking]
            async with file.transaction() as database:
                await _delete(database, file, rows)
                if kind is not None:
                    await _tell(database, file, kind, rows, now_us)
            return True
        is_behind_end = count < _SCAN_ROWS or through >= end
        at.kept_through[kind] = end if is_behind_end else through
        if not is_behind_end:
            return True
    return False


async def give_back(file: StoreFile, limits: StoreConfig) -> None:
    """Give free pages back to a disk that has little room, or from a file beyond its limit."""
    _, size = await _sizes(file.database)
    is_short = disk_free_bytes(file) < limits.free_mb_min * BYTES_PER_MB
    if is_short or size > limits.size_mb_max * BYTES_PER_MB:
        # As a script: sqlite3 takes a statement without columns for done after its first step.
        await file.database.script(f"PRAGMA incremental_vacuum({_VACUUM_PAGES});")


def disk_free_bytes(file: StoreFile) -> int:
    """What the disk of the file has left for us."""
    try:
        return shutil.disk_usage(file.path.parent).free
    except OSError as error:
        raise StorageError(str(error), "failing") from refused(file.path.parent, error)


async def _sizes(database: Database) -> tuple[int, int]:
    """Bytes in use within the file, and of the file."""
    ((page_bytes, pages, free),) = await database.query(
        "SELECT page_size, page_count, freelist_count FROM pragma_page_size, pragma_page_count, pragma_freelist_count"
    )
    return (pages - free) * page_bytes, pages * page_bytes


async def _delete(database: Database, file: StoreFile, rows: Sequence[Row]) -> None:
    at = file.position
    sequences = json.dumps([sequence for sequence, *_ in rows])
    refused_rows = await database.query(
        "SELECT sequence FROM quarantine WHERE sequence IN (SELECT value FROM json_each(?))", (sequences,)
    )
    refused_ones = {sequence for (sequence,) in refused_rows}
    for table in ("record", "quarantine"):
        await database.execute(
            f"DELETE FROM {table} WHERE sequence IN (SELECT value FROM json_each(?))",  # noqa: S608 - constants
            (sequences,),
        )
    at.quarantined -= len(refused_ones)
    for sequence, _, kind, size in rows:
        if sequence > at.acknowledged and sequence not in refused_ones:
            at.add(kind, -size, records=-1)
    await write_backlog(database, at)
    if at.oldest_us is not None:
        await find_oldest(database, at)


async def _tell(database: Database, file: StoreFile, kind: str, rows: Sequence[Row], now_us: UtcUs) -> None:
    """What was dropped unsent is counted, and recorded for home to know."""
    file.position.dropped_records += len(rows)
    count = file.position.dropped_records
    await database.execute("UPDATE cursor SET sequence = ? WHERE name = 'dropped'", (count,))
    first, last = rows[0], rows[-1]
    detail = (
        f"no room: {len(rows)} records of kind {kind} dropped, sequences {first[0]} to {last[0]},"
        f" recorded {_instant(first[1])} to {_instant(last[1])}"
    )
    await file.note("records_dropped", detail, now_us)


def _instant(at_us: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds")
    except OverflowError:
        return f"{at_us} us"
