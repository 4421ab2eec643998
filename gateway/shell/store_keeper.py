"""Sees to it that there is a file to write to: ours, whole, in its place. What becomes of others stands here.

A card that takes nothing is waited for. A damaged file is moved aside and kept, a file that lost its place is put
back; both times a new generation begins, and every record that can be had comes over.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.shell.card_state import CardState
from gateway.shell.database import Connect, StorageError
from gateway.shell.generations import Generation, Journal, Salvage, new_id, read_journal, succeed, write_journal
from gateway.shell.heritage import Heritage, heritage_of, take_over
from gateway.shell.inflow import Inflow
from gateway.shell.old_files import LostFile
from gateway.shell.store_file import StoreFile
from gateway.shell.store_folder import FILE_NAME, FolderLock, aside_name, forget_log, log_of, move_aside

log = logging.getLogger(__name__)

# A card that damages every file is no place for more of them: so many are moved aside within such a time.
DAMAGES_MAX = 3
DAMAGES_US = 3600 * US_PER_S
# So many steps of what comes over are made at once: some tenths of a second. The rest comes in the background.
STEPS_AT_ONCE = 8

T = TypeVar("T")


class Keeper:
    """Holds the folder, the file, and what is still to be brought over into it."""

    def __init__(self, folder: Path, connect: Connect) -> None:
        self.folder, self.path = folder, folder / FILE_NAME
        self.state = CardState(folder)
        self.file: StoreFile | None = None
        self.inflow = Inflow(folder, self._write)
        self._connect, self._lock = connect, FolderLock(folder)
        self._journal = Journal([])
        # what is known of the file before, until another has taken it over
        self._heritage: Heritage | None = None
        self._damaged_us: list[UtcUs] = []

    async def start(self, now_us: UtcUs) -> None:
        """Open the file; a card that is away is no reason not to start.

        Raises:
            SettingError: the folder cannot be used, is in use, or holds a file of a newer version.
        """
        try:
            await self._open(now_us, check=True)
        except StorageError as error:
            self.state.note_away(error, now_us)
        except BaseException:
            self._lock.release()
            raise

    async def close(self) -> None:
        """Let go of everything; what no other file has is brought over first."""
        with suppress(StorageError):
            while self.file is not None and self.inflow.is_urgent:
                await self._bring_over(UtcUs(0))
        with suppress(StorageError, SettingError):
            self._write(self._generations, self.inflow.pause())
        await self._close_file()
        await self.inflow.close()
        self._lock.release()

    async def attempt(self, work: Callable[[StoreFile], Awaitable[T]], now_us: UtcUs) -> T:
        """What `work` gives on the file. It is called again when the file had to be replaced under it.

        Raises:
            StorageError: the card is away.
        """
        file = await self._reach(now_us)
        while True:
            try:
                result = await work(file)
            except StorageError as error:
                file = await self._mend(error, now_us)
            else:
                self.state.note_well()
                return result

    async def glance(self, work: Callable[[StoreFile], Awaitable[T]], now_us: UtcUs) -> T:
        """What `work` reads: from a card that takes nothing it may still be had.

        Raises:
            StorageError: it may not.
        """
        if self.state.card == "ok" or self.file is None:
            return await self.attempt(work, now_us)
        return await work(self.file)

    async def bring_over(self, now_us: UtcUs) -> bool:
        """Bring over a step of what the file before held; whether there is more.

        Raises:
            StorageError: the card is away.
        """
        if self.inflow.is_over:
            return False
        await self.attempt(lambda _: self._bring_over(now_us), now_us)
        return not self.inflow.is_over

    async def begin_generation(self, file: StoreFile, first: int) -> None:
        """Within a transaction: records from `first` to the next generation become a new one, to be sent again."""
        at = file.position
        first = min(first, at.last + 1)
        others = [one for one in at.generations if one.first != first]
        generations = sorted([*others, Generation(first, new_id())])
        self._write(generations, self._journal.salvages)
        await file.begin(generations, min(at.acknowledged, first - 1))

    async def forget_generations(self, file: StoreFile) -> None:
        """Forget the generations that have no record any more, except the one that is written."""
        ((oldest,),) = await file.database.query("SELECT min(sequence) FROM record")
        at = file.position
        ends = [*(one.first for one in at.generations[1:]), at.last + 2]
        kept = [one for one, end in zip(at.generations, ends, strict=True) if end > (oldest or at.last + 1)]
        if len(kept) < len(at.generations) and self.inflow.is_over:
            async with file.transaction():
                await file.begin(kept, at.acknowledged)
            self._write(kept, self._journal.salvages)

    def drop_aside(self) -> bool:
        """Remove the oldest file that was moved aside and is not waited for; whether there was one.

        On a disk without room they go before any record: all that could be read of them is in the store.
        """
        wanted = {entry.file for entry in self._journal.salvages}
        asides = [path for why in ("damaged", "replaced") for path in self.folder.glob(f"{why}-*.sqlite")]
        unwanted = [path for path in asides if path.name not in wanted and path.is_file()]
        if not unwanted:
            return False
        oldest = min(unwanted, key=lambda path: path.stat().st_mtime)
        log.warning("file that was moved aside is removed, no room: file=%s", oldest.name)
        forget_log(oldest)
        oldest.unlink(missing_ok=True)
        return True

    async def _reach(self, now_us: UtcUs) -> StoreFile:
        """The file, in its place; tried no more than every few seconds while the card is away.

        Raises:
            StorageError: the card is away.
        """
        if not self.state.is_due(now_us):
            raise StorageError("the card is away", self.state.card)
        if self.state.card == "failing":  # a disk that was plugged in again is another one
            await self._close_file()
        try:
            if self.file is not None and not self.file.is_in_place():
                await self._leave_place(self.file, now_us)
            return self.file or await self._open(now_us, check=False)
        except StorageError as error:
            raise self.state.note_away(error, now_us) from error
        except SettingError as error:
            raise self.state.note_away(StorageError(str(error), "failing"), now_us) from error

    async def _mend(self, error: StorageError, now_us: UtcUs) -> StoreFile:
        """Another file after `error`.

        Raises:
            StorageError: the card is away.
        """
        if error.card is None and self.file is not None:
            self._heritage = await heritage_of(self.file)
            try:
                await self._set_aside(error, now_us)
            except StorageError as another:
                error = another
            else:
                return await self._reach(now_us)
        raise self.state.note_away(error, now_us) from error

    async def _open(self, now_us: UtcUs, *, check: bool) -> StoreFile:
        """The file, open and with its generations; a damaged one is moved aside and another made."""
        self._lock.hold()
        self._journal = read_journal(self.folder)
        if self._journal.salvages and not self.path.exists():
            move_aside(self.path, self._journal.salvages[-1].file)  # what a power cut left of the last time
        self.file = await StoreFile.open(self.path, self._connect)
        try:
            try:
                await self.file.examine(check=check)
            except StorageError as error:
                if error.card is not None:
                    raise
                await self._set_aside(error, now_us)
                self.file = await StoreFile.open(self.path, self._connect)
                await self.file.examine(check=False)
            if not self.file.position.generations:
                await self._begin(self.file, now_us)
            self._write(self.file.position.generations, self.inflow.expect(self._journal.salvages))
        except BaseException:
            await self._close_file()
            raise
        self._heritage = None
        if not self.inflow.is_large:
            await self._bring_over(now_us)
        assert self.file is not None
        return self.file

    async def _begin(self, file: StoreFile, now_us: UtcUs) -> None:
        """Give a new file its generations."""
        heritage = self._heritage
        if heritage is None:
            is_heir = bool(self._journal.salvages)
            heritage = Heritage(self._generations if is_heir else [], last=None if is_heir else 0)
        generations = succeed(heritage.generations, heritage.last, now_us)
        async with file.transaction() as database:
            self._write(generations, self._journal.salvages)
            await take_over(database, heritage)
            await file.begin(generations, heritage.acknowledged)
        await file.reread()

    async def _bring_over(self, now_us: UtcUs) -> None:
        """Some steps of what is still to come."""
        for _ in range(STEPS_AT_ONCE):
            if self.inflow.is_over or self.file is None:
                return
            ended = await self.inflow.step(self.file, now_us)
            if isinstance(ended, LostFile):
                # Two connections to files of one name: the new one tidies up first.
                await self._close_file()
                await ended.close()
                await self._open(now_us, check=False)

    async def _set_aside(self, error: StorageError, now_us: UtcUs) -> None:
        """Move the damaged file aside, once it stands on disk that there is something to salvage."""
        self._damaged_us = [at_us for at_us in self._damaged_us if abs(now_us - at_us) < DAMAGES_US]
        if len(self._damaged_us) >= DAMAGES_MAX:
            raise StorageError(f"every file gets damaged: {error}", "failing") from error
        self._damaged_us.append(now_us)
        heritage = self._heritage or Heritage(self._generations)
        name = aside_name(self.path, "damaged", now_us)
        entry = Salvage(name, succeed(heritage.generations, heritage.last, now_us)[-1].first)
        self._write(heritage.generations, [*self._journal.salvages, entry])
        move_aside(self.path, name)
        # Closed only now: SQLite removes the log, and in a damaged one there may be more than it sees.
        await self._close_file()
        log.error("store damaged, moved aside, new generation begins: file=%s error=%s", name, error)

    async def _leave_place(self, file: StoreFile, now_us: UtcUs) -> None:
        """Another file lies where ours was, or none: make room there, and bring over what ours holds."""
        log.error("store was replaced or removed, new generation begins: is_there=%s", self.path.exists())
        with suppress(StorageError):
            await file.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._heritage = await heritage_of(file)
        if file.owns_log():
            forget_log(self.path)  # emptied, and written by our connection alone
        if self.path.exists() or log_of(self.path).exists():
            move_aside(self.path, aside_name(self.path, "replaced", now_us))
        self.inflow.add(LostFile(file))
        self.file = None

    @property
    def _generations(self) -> list[Generation]:
        return [Generation(*one) for one in self._journal.generations]

    def _write(self, generations: list[Generation], salvages: list[Salvage]) -> None:
        journal = Journal([(one.first, one.id) for one in generations], salvages)
        if journal != self._journal:
            write_journal(self.folder, journal)
            self._journal = journal

    async def _close_file(self) -> None:
        file, self.file = self.file, None
        if file is not None:
            with suppress(StorageError):
                await file.close()
