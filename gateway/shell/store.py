"""The store: records on disk, in SQLite, through exactly one read-write connection.

WAL with `synchronous=FULL`: a record that `append` has returned for survives a power cut. What is
lost at a cut is the open recording period and nothing else. Until the cloud signs its
acknowledgements nothing is deleted; acknowledging only moves a cursor.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

import aiosqlite

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.records import (
    ReadingsBlock,
    Record,
    RecordError,
    StoredRecord,
    decode_record,
    encode_record,
)

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# "SWEg": tells the file from any other SQLite database.
APPLICATION_ID = 0x53574567
FILE_NAME = "store.sqlite"
# The connection is ours alone; five seconds cover a backup tool that holds the file for a moment.
_BUSY_MS = 5000
# A WAL beyond this is cut back at the next checkpoint, so that a burst does not keep the card full.
_WAL_BYTES_MAX = 8 * 1024 * 1024
_FETCH_ROWS = 256
# Read beyond what a batch takes: at most this many records, of 256 KiB at most.
_BATCH_FETCH_ROWS = 16


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits to go home."""

    records: int
    acknowledged: int
    oldest_us: UtcUs | None


@dataclass(slots=True)
class _Position:
    """Where the file stands: the last sequence, the cursor, and when the record after it was written."""

    last: int
    acknowledged: int
    oldest_us: UtcUs | None


class Store:
    """Append records, read them back in order, remember how far the cloud has acknowledged."""

    def __init__(self, connection: aiosqlite.Connection, lock: int, generation: str, position: _Position) -> None:
        self._connection = connection
        self._lock = lock
        self._position = position
        # Coroutines share the connection: one transaction at a time.
        self._turn = asyncio.Lock()
        self.generation = generation

    @classmethod
    async def open(cls, folder: Path, now_us: UtcUs) -> Self:
        """Open the store in `folder`, making both when missing.

        A damaged file is moved aside, kept, and a new generation begun.

        Raises:
            SettingError: the folder cannot be used, is in use, or is from a newer version.
        """
        lock = _lock_folder(folder)
        try:
            path = folder / FILE_NAME
            try:
                connection = await _connect(path, now_us)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise SettingError(
                        "store.folder", str(folder), f"cannot be written ({error})", _MAKE_ROOM
                    ) from error
                aside = _move_aside(path, now_us)
                log.error("store damaged, moved aside, new generation begun: file=%s error=%s", aside, error)  # noqa: TRY400
                connection = await _connect(path, now_us)
            return cls(connection, lock, await _generation(connection), await _position(connection))
        except BaseException:
            os.close(lock)
            raise

    async def close(self) -> None:
        """Close the file; everything appended is on disk already."""
        await self._connection.close()
        os.close(self._lock)

    async def append(self, records: Sequence[Record], now_us: UtcUs) -> int:
        """Write `records` in one transaction; on return they survive a power cut. Gives the last sequence."""
        async with self._turn:
            return await self._append(records, now_us)

    async def _append(self, records: Sequence[Record], now_us: UtcUs) -> int:
        rows = [
            (self._position.last + 1 + i, now_us, kind_of(record), encode_record(record))
            for i, record in enumerate(records)
        ]
        if not rows:
            return self._position.last
        try:
            await self._connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)
            await self._connection.commit()
        except BaseException:
            # A task cancelled here does not know how far its commit came; the file does.
            await self._connection.rollback()
            self._position = await _position(self._connection)
            raise
        self._position.last = rows[-1][0]
        if self._position.oldest_us is None:
            self._position.oldest_us = now_us
        return self._position.last

    async def unacknowledged(self, records_max: int, bytes_max: int) -> list[StoredRecord]:
        """The oldest records after the cursor, in order: at least one, then as many as the limits allow."""
        # In turn: this connection would also see what an append has not committed. Sent home, and then
        # taken back by a power cut, its sequence would be given to another record, which home would drop.
        async with self._turn:
            return await self._unacknowledged(records_max, bytes_max)

    async def _unacknowledged(self, records_max: int, bytes_max: int) -> list[StoredRecord]:
        taken: list[StoredRecord] = []
        size = 0
        async with self._connection.execute(
            "SELECT sequence, recorded_us, body FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (self._position.acknowledged, records_max),
        ) as cursor:
            while rows := await cursor.fetchmany(_BATCH_FETCH_ROWS):
                for sequence, recorded_us, body in rows:
                    size += len(body)
                    if taken and size > bytes_max:
                        return taken
                    taken.append(StoredRecord(sequence, UtcUs(recorded_us), body))
        return taken

    async def acknowledge(self, sequence: int) -> None:
        """Move the cursor: the cloud has everything up to `sequence`. Never moves back."""
        assert sequence <= self._position.last
        async with self._turn:
            if sequence > self._position.acknowledged:
                await self._connection.execute("UPDATE cursor SET sequence = ? WHERE name = 'sync'", (sequence,))
                await self._connection.commit()
                self._position = await _position(self._connection)

    @property
    def queue(self) -> Queue:
        """What waits to go home."""
        at = self._position
        return Queue(at.last - at.acknowledged, at.acknowledged, at.oldest_us)

    async def blocks_since(self, since_us: UtcUs) -> AsyncIterator[ReadingsBlock]:
        """Readings recorded at or after `since_us`, newest first: for filling the window at start-up."""
        async with self._connection.execute(
            "SELECT recorded_us, body FROM record WHERE kind = 'readings' ORDER BY sequence DESC"
        ) as cursor:
            while rows := await cursor.fetchmany(_FETCH_ROWS):
                for recorded_us, body in rows:
                    if recorded_us < since_us:
                        return
                    if (block := _block(body)) is not None:
                        yield block


def kind_of(record: Record) -> str:
    """The record's kind as stored: the tag of its type."""
    tag = record.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


_MAKE_ROOM = "make room, or give the service the right to write there"


def _block(body: bytes) -> ReadingsBlock | None:
    try:
        record = decode_record(body)
    except RecordError as error:
        log.error("stored record cannot be read: error=%s", error)  # noqa: TRY400 - the reason is in the message
        return None
    return record if isinstance(record, ReadingsBlock) else None


def _lock_folder(folder: Path) -> int:
    """Hold the folder for this process; a second gateway on it would break the one-writer law."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingError("store.folder", str(folder), f"cannot be used ({error.strerror})", _MAKE_ROOM) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        next_step = "stop the other one or give this one its own folder"
        raise SettingError("store.folder", str(folder), "is in use by another gateway", next_step) from error
    return lock


async def _connect(path: Path, now_us: UtcUs) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path)
    try:
        version = await _pragma(connection, "user_version")
        if version == 0:
            await connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table, or never
        for setting in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={_BUSY_MS}",
            f"journal_size_limit={_WAL_BYTES_MAX}",
            "temp_store=MEMORY",
        ):
            await connection.execute(f"PRAGMA {setting}")
        if version == 0:
            await _create(connection, now_us)
        _refuse_unknown(version or SCHEMA_VERSION, path)
        await connection.execute_fetchall("SELECT count(*) FROM store JOIN cursor")
    except BaseException:
        await connection.close()
        raise
    return connection


def _refuse_unknown(version: int, path: Path) -> None:
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
    rows = await connection.execute_fetchall("SELECT generation FROM store")
    return str(next(iter(rows))[0])


async def _position(connection: aiosqlite.Connection) -> _Position:
    rows = await connection.execute_fetchall(
        "SELECT (SELECT max(sequence) FROM record), sequence,"
        " (SELECT recorded_us FROM record WHERE record.sequence = cursor.sequence + 1)"
        " FROM cursor WHERE name = 'sync'"
    )
    last, acknowledged, oldest_us = next(iter(rows))
    return _Position(max(last or 0, acknowledged), acknowledged, oldest_us)


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    rows = await connection.execute_fetchall(f"PRAGMA {name}")
    return int(next(iter(rows))[0])


def _move_aside(path: Path, now_us: UtcUs) -> Path:
    aside = path.with_name(f"damaged-{now_us}.sqlite")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside
