"""The store: records on disk, in SQLite, through exactly one read-write connection.

WAL with `synchronous=FULL`: a record that `append` has returned for survives a power cut. What is
lost at a cut is the open recording period and nothing else. Until the cloud signs its
acknowledgements nothing is deleted; acknowledging only moves a cursor.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiosqlite

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import StoredRecord
from gateway.contract.records import ReadingsBlock, Record, RecordError, decode_record, encode_record
from gateway.shell.store_file import Position, lock_folder, open_file, read_position

log = logging.getLogger(__name__)

FILE_NAME = "store.sqlite"
_FETCH_ROWS = 256
# A board without a clock begins in 1970: such a stamp says nothing of how old a record is.
_NO_CLOCK_US = 10 * 366 * 86_400 * 1_000_000
# Read beyond what a batch takes: at most this many records, of 256 KiB at most.
_BATCH_FETCH_ROWS = 16


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits to go home."""

    records: int
    acknowledged: int
    oldest_us: UtcUs | None


class Store:
    """Append records, read them back in order, remember how far the cloud has acknowledged."""

    def __init__(self, lock: int, connection: aiosqlite.Connection, generation: str, position: Position) -> None:
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
        lock = lock_folder(folder)
        try:
            return cls(lock, *await open_file(folder / FILE_NAME, now_us))
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
            self._position = await read_position(self._connection)
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
                self._position = await read_position(self._connection)

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
                    if _NO_CLOCK_US < recorded_us < since_us:
                        return
                    if (block := _block(body)) is not None:
                        yield block


def kind_of(record: Record) -> str:
    """The record's kind as stored: the tag of its type."""
    tag = record.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def _block(body: bytes) -> ReadingsBlock | None:
    try:
        record = decode_record(body)
    except RecordError as error:
        log.error("stored record cannot be read: error=%s", error)  # noqa: TRY400 - the reason is in the message
        return None
    return record if isinstance(record, ReadingsBlock) else None
