"""One file of the store, open: its transactions, and the truth about where it stands after each of them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from firmware_bridge.reading import UtcUs
from gateway import SOFTWARE
from gateway.contract.batches import StoredRecord
from gateway.contract.records import (
    ReadingsBlock,
    Record,
    RecordError,
    StatusEvent,
    StatusRecord,
    decode_record,
    encode_record,
)
from gateway.core.sqlite_wal import read_wal
from gateway.shell.card_ring import PendingRecord
from gateway.shell.database import Connect, Database, Row, StorageError
from gateway.shell.generations import Generation, stretch
from gateway.shell.store_folder import file_bytes, identity, log_bytes, log_of, refused, touch
from gateway.shell.store_position import Position, find_oldest, move_cursor, read_position
from gateway.shell.store_schema import prepare

log = logging.getLogger(__name__)

# Real seconds that a start spends on looking whether the file is whole: what is damaged behind that is
# found when it is read.
CHECK_S_MAX = 10.0
# The formats to write and to read, from the header: with a log, as it was before that, and of no file yet. SQLite
# takes another number for that of a newer SQLite, and the file for one to read only.
_FORMATS = (b"\2\2", b"\1\1", b"\0\0", b"")
# Read beyond what a batch takes: at most this many records, of 256 KiB at most.
_BATCH_FETCH_ROWS = 16
_READINGS_FETCH_ROWS = 64


class StoreFile:
    """A connection to one file. Every change is a transaction; one that failed leaves the position as in the file."""

    def __init__(self, path: Path, database: Database) -> None:
        self.path, self.database = path, database
        self.position = Position([], 0, 0)
        self._place: tuple[int, ...] | None = None
        self._is_settled = True
        # of these kinds nothing waits up to that sequence
        self._passed = (frozenset[str](), 0)

    @classmethod
    async def open(cls, path: Path, connect: Connect) -> Self:
        """Connect to the file at `path`, made when missing; nothing is read before `examine`.

        Raises:
            StorageError: the card is away.
            SettingError: the file cannot be used.
        """
        touch(path)
        return cls(path, await connect(path))

    async def examine(self, *, check: bool) -> None:
        """See what the file is, and make a store of an empty one; its generations are then still to be begun.

        Raises:
            StorageError: the card is away, or the file is damaged.
            SettingError: it is from a newer version.
        """
        if file_bytes(self.path) and not self.path.stat().st_size:
            raise StorageError("the file is empty, and its log is not", None)  # SQLite would throw that away
        self._examine_bytes()
        await prepare(self.database, self.path)
        if check:
            await _check(self.database)
        await self.reread()
        if not self.position.generations and (self.position.last or self.position.acknowledged):
            raise StorageError("this store has no generation", None)
        self._place = identity(self.path)

    def _examine_bytes(self) -> None:
        """Look for damage that SQLite does not tell."""
        try:
            with self.path.open("rb") as file:
                formats = file.read(20)[18:]
            hides_commits = read_wal(log_bytes(self.path)).hides_commits
        except OSError as error:
            raise refused(self.path.parent, error) from error
        if formats not in _FORMATS:
            raise StorageError(f"its header is damaged: formats={formats.hex()}", None)
        if hides_commits:
            raise StorageError("commits stand in its log behind a damaged one", None)

    async def reread(self) -> None:
        """Read where the file stands."""
        self.position = await read_position(self.database)
        self._passed = (frozenset(), 0)
        self._is_settled = True

    async def close(self) -> None:
        """Let go of the file."""
        await self.database.close()

    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that is open, and the log beside it the one that is written.

        Raises:
            StorageError: the disk does not say.
        """
        return self._place is None or identity(self.path) == self._place

    def owns_log(self) -> bool:
        """Whether the log at the path is the one that is open."""
        try:
            return self._place is not None and log_of(self.path).stat().st_ino == self._place[-1]
        except OSError:
            return False

    @property
    def bytes(self) -> int:
        """What the file takes on its disk."""
        return file_bytes(self.path)

    @property
    def is_settled(self) -> bool:
        """Whether `position` is what the file says."""
        return self._is_settled

    async def settle(self) -> None:
        """End what an interrupted transaction left, and read where the file stands.

        Raises:
            StorageError: it does not say.
        """
        if not self._is_settled:
            await self.database.rollback()
            await self.reread()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Database]:
        """One change: durable on leaving, or taken back whole.

        Within it `position` is changed as the file is. After a failure or a cancellation nobody but the file
        knows how far the commit came, so it is asked.
        """
        await self.settle()
        self._is_settled = False
        try:
            await self.database.execute("BEGIN IMMEDIATE")
            yield self.database
            await self.database.commit()
        except BaseException:
            with suppress(StorageError):
                await self.settle()
            raise
        self._is_settled = True

    async def append(self, records: Sequence[PendingRecord]) -> None:
        """Write `records` in one transaction, with the next sequences."""
        async with self.transaction():
            await self.insert(records)

    async def insert(self, records: Sequence[PendingRecord]) -> None:
        """Within a transaction: write `records` with the next sequences."""
        at, first = self.position, self.position.last + 1
        await self.database.execute_many(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
            [(first + index, one.recorded_us, one.kind, one.body, one.boot) for index, one in enumerate(records)],
        )
        at.last += len(records)
        for one in records:
            if at.oldest_us is None and at.goes_home(one.kind):
                at.oldest_us = one.recorded_us
            at.add(one.kind, len(one.body))

    async def note(self, event: StatusEvent, detail: str, now_us: UtcUs) -> None:
        """Within a transaction: record what happened to the store."""
        await self.insert([pending(StatusRecord(now_us, event, SOFTWARE, detail), now_us, None)])

    async def begin(self, generations: list[Generation], acknowledged: int) -> None:
        """Within a transaction: these are the generations, and the cursor stands there."""
        await self.database.execute("DELETE FROM generation")
        await self.database.execute_many("INSERT INTO generation VALUES (?, ?)", generations)
        self.position.generations = generations
        self.position.last = max(self.position.last, generations[-1].first - 1, acknowledged)
        await self.move_cursor(acknowledged)

    async def move_cursor(self, sequence: int) -> None:
        """Within a transaction: everything up to `sequence` is at home, and nothing behind it."""
        if sequence < self.position.acknowledged:
            self._passed = (frozenset(), 0)
        await move_cursor(self.database, self.position, sequence)

    async def share(self, kinds: frozenset[str]) -> None:
        """Remember which kinds are asked for to go home from here on."""
        text = kinds_text(kinds)
        if text == self.position.kinds:
            return
        async with self.transaction() as database:
            # Until somebody asks for the first time nothing has gone: the first answer holds from the beginning.
            first = 0 if self.position.kinds is None else self.position.acknowledged + 1
            await database.execute("DELETE FROM shared WHERE first_sequence >= ?", (first,))  # from before a rewind
            await database.execute("INSERT INTO shared VALUES (?, ?)", (first, text))
            self.position.kinds = text
            await find_oldest(database, self.position)

    async def waiting(
        self, kinds: frozenset[str], records_max: int, bytes_max: int, after: int, skipped: frozenset[int]
    ) -> list[StoredRecord]:
        """The oldest records of `kinds` behind `after`, of one generation; up to the first that has no right stamp.

        At least one, when there is any, then as many as the limits allow. Those in quarantine and `skipped` are
        passed over.
        """
        taken: list[StoredRecord] = []
        size, behind = 0, None
        after = max(after, self._passed[1] if kinds == self._passed[0] else 0)
        while rows := await self._waiting_rows(kinds, after):
            for sequence, recorded_us, body, boot in rows:
                after = sequence
                if sequence in skipped:
                    continue
                if not taken:
                    self._passed = (kinds, sequence - 1)
                    _, _, behind = stretch(self.position.generations, sequence)
                size += len(body)
                is_other = behind is not None and sequence >= behind
                if boot is not None or is_other or (taken and size > bytes_max):
                    return taken
                taken.append(StoredRecord(sequence, UtcUs(recorded_us), body))
                if len(taken) == records_max:
                    return taken
        if not taken:
            self._passed = (kinds, self.position.last)
        return taken

    async def readings_before(self, sequence: int) -> list[Row]:
        """Sequence, instant and body of some blocks of readings before `sequence`, the newest first."""
        return await self.database.query(
            "SELECT sequence, recorded_us, body FROM record WHERE sequence < ? AND kind = 'readings'"
            " ORDER BY sequence DESC LIMIT ?",
            (sequence, _READINGS_FETCH_ROWS),
        )

    async def _waiting_rows(self, kinds: frozenset[str], after: int) -> list[Row]:
        return await self.database.query(
            "SELECT sequence, recorded_us, body, boot FROM record WHERE sequence > ? AND instr(?, ' ' || kind || ' ')"
            " AND sequence NOT IN (SELECT sequence FROM quarantine) ORDER BY sequence LIMIT ?",
            (after, kinds_text(kinds), _BATCH_FETCH_ROWS),
        )


def pending(record: Record, now_us: UtcUs, boot: int | None) -> PendingRecord:
    """`record` as it will be stored."""
    return PendingRecord(now_us, kind_of(record), encode_record(record), boot)


def kind_of(record: Record) -> str:
    """The record's kind as stored: the tag of its type."""
    tag = record.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def readings_of(body: bytes) -> ReadingsBlock | None:
    """The block of readings in a stored body; one that rotted is told and passed over."""
    try:
        record = decode_record(body)
    except RecordError as error:
        log.error("stored record cannot be read: error=%s", error)  # noqa: TRY400 - the reason is in the message
        return None
    return record if isinstance(record, ReadingsBlock) else None


def kinds_text(kinds: frozenset[str]) -> str:
    """Kinds as the file has them: SQLite looks for one between spaces."""
    return f" {' '.join(sorted(kinds))} "


async def _check(database: Database) -> None:
    """Look whether the file is whole, as far as `CHECK_S_MAX` goes."""
    try:
        async with asyncio.timeout(CHECK_S_MAX):
            found = await database.query("PRAGMA quick_check(1)")
    except TimeoutError:
        log.info("store is large, it was looked through in part: seconds=%.0f", CHECK_S_MAX)
        return
    if found != [("ok",)]:
        raise StorageError(f"quick_check: {found[0][0] if found else 'nothing'}", None)
