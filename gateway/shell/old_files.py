"""Files that the store had before this one, until their records are brought over: lost ones and damaged ones."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Protocol

from gateway.core.salvage import SalvagedRecord, salvage
from gateway.shell.database import StorageError
from gateway.shell.generations import Generation, Salvage
from gateway.shell.store_file import StoreFile
from gateway.shell.store_folder import file_bytes, log_bytes, log_of
from gateway.shell.worn_file import WornFile

log = logging.getLogger(__name__)

# What is brought over in one transaction: with full blocks of 200 series half a megabyte, which a slow card writes in
# a tenth of a second.
STEP_RECORDS = 64
_NO_END = 2**63 - 1


class Source(Protocol):
    """Where records of the file before come from."""

    # what happened to it, for people
    story: str
    # sequences from here on were given after it was left
    below: int

    async def begin(self) -> tuple[list[Generation], int | None]:
        """What it tells of generations and cursor beyond what is known."""
        ...

    async def take(self) -> list[SalvagedRecord]:
        """The next records; none at the end."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class LostFile:
    """A file that is still open, but has lost its place."""

    def __init__(self, file: StoreFile) -> None:
        self.story = "the file was replaced or removed"
        self.below = file.position.last + 1
        self._file = file
        # What is not at home yet comes first: nothing holds this file but our connection.
        self._ranges = [(file.position.acknowledged, _NO_END), (0, file.position.acknowledged)]

    async def begin(self) -> tuple[list[Generation], int | None]:
        """Everything is known of it."""
        return [], None

    async def take(self) -> list[SalvagedRecord]:
        """The next records; what cannot be read any more is given up."""
        while self._ranges:
            after, through = self._ranges[0]
            try:
                rows = await self._file.database.query(
                    "SELECT sequence, recorded_us, kind, boot, body FROM record"
                    " WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
                    (after, through, STEP_RECORDS),
                )
            except StorageError:
                log.exception("file that lost its place cannot be read: after=%d", after)
                rows = []
            if rows:
                self._ranges[0] = (rows[-1][0], through)
                return [SalvagedRecord(*row) for row in rows]
            del self._ranges[0]
        return []

    async def close(self) -> None:
        """Let go of it. SQLite removes the log at its path by name: another file's is put out of its way."""
        other, parked = log_of(self._file.path), self._file.path.with_name("store.parked")
        if other.exists():
            other.replace(parked)
        with suppress(StorageError):
            await self._file.close()
        if parked.exists():
            parked.replace(other)


class DamagedFile:
    """A file that was moved aside because it is damaged."""

    def __init__(self, folder: Path, entry: Salvage) -> None:
        self.story = f"the file was damaged and is kept as {entry.file}"
        self.below = entry.below
        self.entry = entry
        self._path = folder / entry.file
        self._file: WornFile | None = None
        self._records: Iterator[SalvagedRecord] = iter(())

    @property
    def bytes(self) -> int:
        """How much there is to look through."""
        return file_bytes(self._path)

    async def begin(self) -> tuple[list[Generation], int | None]:
        """Look through the file, in a thread: that takes as long as it is large.

        Raises:
            StorageError: its disk is gone.
        """
        await self.close()
        try:
            self._file = WornFile.open(self._path)
            salvaged = await asyncio.to_thread(salvage, self._file, log_bytes(self._path))
        except OSError as error:
            raise StorageError(str(error), "failing") from error
        self._records = iter(salvaged.records)
        return [Generation(*one) for one in salvaged.generations], salvaged.acknowledged

    async def take(self) -> list[SalvagedRecord]:
        """The next records.

        Raises:
            StorageError: its disk is gone.
        """
        try:
            return list(islice(self._records, STEP_RECORDS))
        except OSError as error:
            raise StorageError(str(error), "failing") from error

    async def close(self) -> None:
        """Let go of it."""
        self._records = iter(())
        if self._file is not None:
            self._file.close()
            self._file = None
