"""Records that come over from a file before this one: from one that lost its place, or from one that was damaged.

They come in steps, each a transaction, so that readings are kept meanwhile. Every step can be done again.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from firmware_bridge.reading import UtcUs
from gateway.core.salvage import SalvagedRecord
from gateway.shell.card_ring import PendingRecord
from gateway.shell.database import StorageError
from gateway.shell.generations import Generation, Salvage, stretch
from gateway.shell.old_files import DamagedFile, LostFile, Source
from gateway.shell.store_file import StoreFile
from gateway.shell.store_position import find_oldest, write_backlog

log = logging.getLogger(__name__)

# A salvage that never came to its end so often ends the process each time: it is given up, the file stays.
SALVAGE_TRIES_MAX = 3
# To look through a larger file takes longer than a start should.
SALVAGE_AT_ONCE_BYTES_MAX = 8 * 1024 * 1024


async def bring(file: StoreFile, records: Sequence[SalvagedRecord], below: int) -> int:
    """Write records under their own sequences; those that are there stay. Gives how many came.

    A sequence that cannot have been given is damaged: such a record gets a new one.
    """
    async with file.transaction() as database:
        sequences = json.dumps([record.sequence for record in records])
        there = await database.query(
            "SELECT sequence FROM record WHERE sequence IN (SELECT value FROM json_each(?))", (sequences,)
        )
        refused = await database.query(
            "SELECT sequence FROM quarantine WHERE sequence IN (SELECT value FROM json_each(?))", (sequences,)
        )
        known = set(there)
        new = [one for one in records if one.sequence < below and (one.sequence,) not in known]
        await database.execute_many(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
            [(one.sequence, one.recorded_us, one.kind, one.body, one.boot) for one in new],
        )
        for one in new:
            if one.sequence > file.position.acknowledged and (one.sequence,) not in refused:
                file.position.add(one.kind, len(one.body))
        strays = [one for one in records if one.sequence >= below]
        await file.insert([PendingRecord(one.recorded_us, one.kind, one.body, one.boot) for one in strays])
        await write_backlog(database, file.position)
        file.position.kept_through.clear()
        return len(new) + len(strays)


class Inflow:
    """What is still to come, one source after the other."""

    def __init__(self, folder: Path, write: Callable[[list[Generation], list[Salvage]], None]) -> None:
        """`write` puts generations and salvages where they outlast the file."""
        self._folder, self._write = folder, write
        self._sources: deque[Source] = deque()
        self._forget_begun()

    def _forget_begun(self) -> None:
        self._begun: Source | None = None
        self._in_hand: list[SalvagedRecord] = []
        self._brought = 0

    @property
    def is_over(self) -> bool:
        """Whether everything has come."""
        return not self._sources

    @property
    def is_urgent(self) -> bool:
        """Whether a file is waited for that nothing but our connection holds."""
        return any(isinstance(source, LostFile) for source in self._sources)

    @property
    def is_large(self) -> bool:
        """Whether what comes next takes longer than a start should."""
        source = next(iter(self._sources), None)
        return isinstance(source, DamagedFile) and source.bytes > SALVAGE_AT_ONCE_BYTES_MAX

    def add(self, source: LostFile) -> None:
        """Let the records of a file that lost its place come before all others."""
        self._sources.appendleft(source)
        self._forget_begun()

    def expect(self, entries: Sequence[Salvage]) -> list[Salvage]:
        """Let the records of damaged files come; gives those entries that there is still something to do for."""
        known = {source.entry.file for source in self._sources if isinstance(source, DamagedFile)}
        for entry in entries:
            if entry.file in known or not (self._folder / entry.file).exists():
                continue
            if entry.tries >= SALVAGE_TRIES_MAX:
                log.error("salvage given up, the file stays: file=%s tries=%d", entry.file, entry.tries)
            else:
                self._sources.append(DamagedFile(self._folder, entry))
        return self._salvages()

    async def step(self, file: StoreFile, now_us: UtcUs) -> Source | None:
        """Bring over some records of the first source. Gives it when that was its end; it is then to be closed.

        Raises:
            StorageError: the file takes nothing; what was in hand comes with the next step.
        """
        source = self._sources[0]
        if source is not self._begun:
            await self._begin(file, source)
        if not self._in_hand:
            self._in_hand = await self._next(source)
        if self._in_hand:
            self._brought += await bring(file, self._in_hand, source.below)
            self._in_hand = []
            return None
        async with file.transaction() as database:
            await file.note("generation_begun", f"{source.story}; records brought over: {self._brought}", now_us)
            await find_oldest(database, file.position)
        self._sources.popleft()
        self._forget_begun()
        self._write(file.position.generations, self._salvages())
        return source

    async def _next(self, source: Source) -> list[SalvagedRecord]:
        try:
            return await source.take()
        except StorageError:
            self._forget_begun()  # what it gives after a failure is not known
            raise

    def pause(self) -> list[Salvage]:
        """What is left to do for the next start: an orderly stop is no failure of what was begun."""
        if isinstance(self._begun, DamagedFile):
            entry = self._begun.entry
            self._begun.entry = msgspec.structs.replace(entry, tries=entry.tries - 1)
            self._begun = None
        return self._salvages()

    async def close(self) -> None:
        """Let go of all that has not come."""
        for source in self._sources:
            await source.close()
        self._sources.clear()

    async def _begin(self, file: StoreFile, source: Source) -> None:
        self._forget_begun()
        if isinstance(source, DamagedFile):
            # Noted before it is looked at: whatever it does to this process is not done for ever.
            source.entry = msgspec.structs.replace(source.entry, tries=source.entry.tries + 1)
            self._write(file.position.generations, self._salvages())
        found, acknowledged = await source.begin()
        generations = _united(file.position.generations, found, source.below)
        cursor = max(file.position.acknowledged, min(acknowledged or 0, source.below - 1))
        if (generations, cursor) != (file.position.generations, file.position.acknowledged):
            async with file.transaction():
                self._write(generations, self._salvages())
                await file.begin(generations, cursor)
        self._begun = source

    def _salvages(self) -> list[Salvage]:
        return [source.entry for source in self._sources if isinstance(source, DamagedFile)]


def _united(known: list[Generation], found: list[Generation], below: int) -> list[Generation]:
    """The generations that are `known`, and what a damaged file tells of those before `below`.

    The file beside it is newer than what may be left of a page, so it is believed, except where it did not know.
    """
    newest, _, _ = stretch(known, below)
    first_to_id = {one.first: one.id for one in found if one.first < below}
    first_to_id |= {one.first: one.id for one in known if one.id != newest or one.first not in first_to_id}
    # Records without any word of their generation are of the new one.
    first_to_id.setdefault(1, newest)
    return [Generation(*one) for one in sorted(first_to_id.items())]
