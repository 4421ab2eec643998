"""The store's file: who may open it, how it is set up, and what becomes of one that is damaged."""

import fcntl
import logging
import os
import secrets
import sqlite3
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import aiosqlite
import msgspec

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.batches import Generation

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# "SWEg": tells the file from any other SQLite database.
APPLICATION_ID = 0x53574567
# The connection is ours alone; five seconds cover a backup tool that holds the file for a moment.
_BUSY_MS = 5000
# A WAL beyond this is cut back at the next checkpoint, so that a burst does not keep the card full.
_WAL_BYTES_MAX = 8 * 1024 * 1024
# Extended error codes of SQLite carry the primary one in their lowest byte.
_PRIMARY_CODE = 0xFF
# The card, the rights or another program is at fault, and not what the file holds.
_OUTSIDE = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("PERM", "BUSY", "LOCKED", "NOMEM", "READONLY", "IOERR", "FULL", "CANTOPEN")
)
_MAKE_ROOM = "make room, or give the service the right to write there"


@dataclass(slots=True)
class Position:
    """Where the file stands: the last sequence, the cursor, and when the record after it was written."""

    last: int
    acknowledged: int
    oldest_us: UtcUs | None


def lock_folder(folder: Path) -> int:
    """Hold the folder for this process; a second gateway on it would break the one-writer law.

    Raises:
        ConflictError: another gateway holds it.
        SettingError: it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder, error.strerror) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        next_step = "stop the other one or give this one its own folder"
        raise ConflictError("store.folder", str(folder), "is in use by another gateway", next_step) from error
    return lock


async def open_file(path: Path, now_us: UtcUs) -> tuple[aiosqlite.Connection, str, Position]:
    """A connection to the store at `path`, its generation, and where it stands; made when missing.

    A damaged file is moved aside, kept, and a new generation begun.

    Raises:
        SettingError: the file cannot be written, or is from a newer version.
    """
    try:
        # SQLite says less about a file it cannot open, and aiosqlite leaves a thread behind.
        path.open("ab").close()
        return await _connect(path, now_us)
    except OSError as error:
        raise _unusable(path.parent, error.strerror) from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _OUTSIDE:
            raise _unusable(path.parent, error) from error
        aside = _move_aside(path, now_us)
        log.error("store damaged, moved aside, new generation begun: file=%s error=%s", aside, error)  # noqa: TRY400
        return await _connect(path, now_us)


def _unusable(folder: Path, reason: object) -> SettingError:
    return SettingError("store.folder", str(folder), f"cannot be used ({reason})", _MAKE_ROOM)


async def _connect(path: Path, now_us: UtcUs) -> tuple[aiosqlite.Connection, str, Position]:
    connection = await aiosqlite.connect(path)
    try:
        is_new = await _single(connection, "SELECT count(*) FROM sqlite_master") == 0
        if is_new:
            await connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table, or never
        else:
            await _refuse_unknown(connection, path)
        for setting in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={_BUSY_MS}",
            f"journal_size_limit={_WAL_BYTES_MAX}",
            "temp_store=MEMORY",
        ):
            await connection.execute(f"PRAGMA {setting}")
        if is_new:
            await _create(connection, now_us)
        return connection, await _generation(connection), await read_position(connection)
    except BaseException:
        await connection.close()
        raise


async def _refuse_unknown(connection: aiosqlite.Connection, path: Path) -> None:
    if await _single(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise sqlite3.DatabaseError("this is not a store of ours")
    version = await _single(connection, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        raise SettingError(
            "store.folder",
            str(path.parent),
            f"holds a store of version {version}, this gateway knows {SCHEMA_VERSION}",
            "install the gateway that wrote it, or give another folder",
        )


async def _create(connection: aiosqlite.Connection, now_us: UtcUs) -> None:
    schema = files("gateway.shell").joinpath("schema.sql").read_text()
    generation = secrets.token_hex(16)
    await connection.executescript(
        f"BEGIN; {schema} INSERT INTO store VALUES ('{generation}', {now_us});"  # noqa: S608 - hex and an integer
        f" PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
    )
    # The tables themselves must be in the file before anything is acknowledged.
    await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _generation(connection: aiosqlite.Connection) -> str:
    try:
        return msgspec.convert(await _single(connection, "SELECT generation FROM store"), Generation)
    except msgspec.ValidationError as error:
        raise sqlite3.DatabaseError(f"this store has no generation: {error}") from error


async def read_position(connection: aiosqlite.Connection) -> Position:
    """Where the file itself says that it stands."""
    rows = await connection.execute_fetchall(
        "SELECT (SELECT max(sequence) FROM record), sequence,"
        " (SELECT recorded_us FROM record WHERE record.sequence = cursor.sequence + 1)"
        " FROM cursor WHERE name = 'sync'"
    )
    last, acknowledged, oldest_us = next(iter(rows), (None, None, None))
    if not isinstance(acknowledged, int):
        raise sqlite3.DatabaseError("this store has no cursor")
    return Position(max(last or 0, acknowledged), acknowledged, oldest_us)


async def _single(connection: aiosqlite.Connection, query: str) -> object:
    """The first value of the first row; None when there is no row."""
    rows = await connection.execute_fetchall(query)
    return next(iter(rows), (None,))[0]


def _move_aside(path: Path, now_us: UtcUs) -> Path:
    aside = path.with_name(f"damaged-{now_us}.sqlite")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside
