"""The store: records on disk, in SQLite, through exactly one read-write connection.

WAL with `synchronous=FULL`: a record that `append` has returned for survives a power cut, unless the card is away:
then it is in memory, bounded and counted, and written as soon as the card takes it. What is lost at a cut is the
open recording period. Nothing that is meant for the cloud is deleted before its signed word, but for want of room.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from firmware_bridge.clock import Clock
from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs
from gateway.config import StoreConfig
from gateway.contract.batches import StoredRecord
from gateway.contract.records import ReadingsBlock, Record
from gateway.shell.card_writer import CardWriter
from gateway.shell.database import Card, Connect, StorageError, connect_sqlite
from gateway.shell.generations import stretch
from gateway.shell.retention import CHUNKS_MAX, Sweep, drop_for_room, drop_old, give_back, lacking_bytes
from gateway.shell.store_file import StoreFile, pending, readings_of
from gateway.shell.store_folder import FILE_NAME as FILE_NAME
from gateway.shell.store_keeper import Keeper

log = logging.getLogger(__name__)

# Deleted once an hour: seldom enough that whole pages become free, often enough that they are used again.
PRUNE_PERIOD_S = 3600
# How often the service looks whether something is to be brought over, and rests between two steps of it.
TEND_PERIOD_S = 60
STEP_REST_S = 0.05
# A board without a clock begins in 1970: such a stamp says nothing of how old a record is.
_NO_CLOCK_US = 10 * 366 * 86_400 * US_PER_S
_NO_END = 2**63 - 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits to go home, and how the card fares."""

    records: int
    acknowledged: int
    oldest_us: UtcUs | None
    bytes: int = 0
    quarantined: int = 0
    # unsent, for want of room, since this file was begun
    dropped_records: int = 0
    card: Card = "ok"
    ring_records: int = 0
    # since this start
    ring_lost: int = 0
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What can go home next: records of one generation, and how far the cloud has that by its own word."""

    generation: str
    acknowledged: int
    records: list[StoredRecord]


class Store:
    """Append records, read them back in order, remember how far the cloud has acknowledged."""

    def __init__(self, keeper: Keeper, limits: StoreConfig, now_us: UtcUs) -> None:
        self._keeper, self._limits, self._now_us = keeper, limits, now_us
        self._writer = CardWriter()
        # Coroutines share the connection: one transaction at a time, first come, first served.
        self._turn = asyncio.Lock()
        self._sweep = Sweep()
        # tells the records of this start from those of others, as long as their instants are guesses
        self.boot = secrets.randbits(31)

    @classmethod
    async def open(
        cls,
        folder: Path,
        now_us: UtcUs,
        *,
        limits: StoreConfig = StoreConfig(),  # noqa: B008 - frozen
        connect: Connect = connect_sqlite,
    ) -> Self:
        """Open the store in `folder`, making both when missing; a card that is away is waited for.

        A damaged file is moved aside and kept; what it holds comes over, and a new generation begins.

        Raises:
            SettingError: the folder cannot be used, is in use, or is from a newer version.
        """
        keeper = Keeper(folder, connect)
        await keeper.start(now_us)
        return cls(keeper, limits, now_us)

    async def close(self) -> None:
        """Close the file; everything appended is on disk already, or gets there now if the card lets it."""
        async with self._turn:
            if self._writer.ring.records:
                self._keeper.state.try_now()
                with suppress(StorageError):
                    await self._keeper.attempt(lambda file: self._flush(file, _NO_END, self._now_us), self._now_us)
            await self._keeper.close()

    @property
    def generation(self) -> str:
        """The generation of what is written now; "" as long as no file could be opened."""
        file = self._keeper.file
        return file.position.generations[-1].id if file is not None else ""

    @property
    def newest_us(self) -> UtcUs | None:
        """When the newest record with a trusted stamp was written, before this start; None: there is none."""
        file = self._keeper.file
        return None if file is None else file.position.newest_us

    @property
    def queue(self) -> Queue:
        """What waits to go home, and how the card fares."""
        keeper, ring = self._keeper, self._writer.ring
        about_card = (keeper.state.card, ring.records, ring.lost_records)
        if keeper.file is None:
            return Queue(0, self._writer.verdicts.acknowledged, None, 0, 0, 0, *about_card, 0)
        at, waits = keeper.file.position, keeper.file.position.waits()
        cursor, refused = (
            self._writer.verdicts.cursor(keeper.file),
            at.quarantined + len(self._writer.verdicts.refused),
        )
        counts = (waits.records, cursor, at.oldest_us, waits.bytes, refused, at.dropped_records)
        return Queue(*counts, *about_card, keeper.file.bytes)

    async def append(self, records: Sequence[Record], now_us: UtcUs, *, boot: int | None = None) -> None:
        """Write `records` in one transaction; on return they survive a power cut, or wait in memory for the card.

        `boot` is given as long as the clock cannot be trusted. Records stand in line from the moment of the call.
        """
        number = self._writer.ring.add([pending(record, now_us, boot) for record in records])
        if await self._in_turn(lambda file: self._flush(file, number, now_us), now_us) is None:
            self._writer.ring.trim()

    async def waiting(self, kinds: frozenset[str], records_max: int, bytes_max: int) -> Waiting | None:
        """The oldest records of `kinds` after the cursor, in order; None when nothing waits, or can be sent yet.

        Of one generation, at least one, then as many as the limits allow. What lies in quarantine is passed over; a
        record whose instants are still a guess holds back what comes after it. While records of a file before this
        one are brought over, everything waits: they come first.
        """
        # In turn: this connection would also see what an append has not committed. Sent home, and then
        # taken back by a power cut, its sequence would be given to another record, which home would drop.
        async with self._turn:
            with suppress(StorageError):
                work = partial(self._waiting, kinds=kinds, records_max=records_max, bytes_max=bytes_max)
                return await self._keeper.glance(work, self._now_us)
        return None

    async def _waiting(
        self, file: StoreFile, *, kinds: frozenset[str], records_max: int, bytes_max: int
    ) -> Waiting | None:
        if self._keeper.state.card == "ok":
            await file.settle()
            await file.share(kinds)
        if not self._keeper.inflow.is_over:
            return None
        cursor = self._writer.verdicts.cursor(file)
        records = await file.waiting(kinds, records_max, bytes_max, cursor, frozenset(self._writer.verdicts.refused))
        if not records:
            return None
        generation, first, _ = stretch(file.position.generations, records[0].sequence)
        return Waiting(generation, cursor if cursor >= first else 0, records)

    async def acknowledge(self, sequence: int) -> None:
        """Move the cursor: the cloud has everything up to `sequence`. Never moves back."""
        self._writer.verdicts.acknowledged = max(self._writer.verdicts.acknowledged, sequence)
        await self._in_turn(self._writer.verdicts.write, self._now_us)

    async def quarantine(self, sequence: int, reason: str, now_us: UtcUs) -> None:
        """Keep the record, and do not send it again: the cloud refused it for good."""
        self._writer.verdicts.refused[sequence] = (reason, now_us)
        await self._in_turn(self._writer.verdicts.write, now_us)

    async def rewind(self, sequence: int) -> None:
        """Move the cursor back: the cloud has lost what came after `sequence`. What is still kept is sent again."""

        async def move(file: StoreFile) -> None:
            await self._writer.verdicts.write(file)
            if 0 <= sequence < file.position.acknowledged:
                async with file.transaction():
                    await file.move_cursor(sequence)

        await self._in_turn(move, self._now_us)

    async def begin_generation(self, from_sequence: int, now_us: UtcUs) -> None:
        """The cloud has other bytes under `from_sequence`: records from there on are another generation."""

        async def begin(file: StoreFile) -> None:
            await self._writer.verdicts.write(file)
            async with file.transaction():
                await self._keeper.begin_generation(file, from_sequence)
                detail = f"the cloud has other records from sequence {from_sequence} on"
                await file.note("generation_begun", detail, now_us)

        log.warning("generation begun, the cloud has other records: from_sequence=%d", from_sequence)
        await self._in_turn(begin, now_us)

    async def restamp(self, boot: int, offset_us: int, now_us: UtcUs) -> None:
        """The clock was wrong by `offset_us` when start `boot` stamped what it gave `append` until now.

        Those records may go home stamped anew, those of earlier starts as they are. What comes has another `boot`.
        """
        self._writer.order_stamps(boot, offset_us, now_us)
        self.boot = secrets.randbits(31)
        await self._in_turn(self._writer.stamp, now_us)

    async def prune(self, now_us: UtcUs) -> None:
        """Delete what need not be kept, and what there is no room for; in small steps, so that others have turns."""
        for _ in range(CHUNKS_MAX):
            if not await self._in_turn(lambda file: drop_old(file, self._limits, now_us, self._sweep), now_us):
                break
        for _ in range(CHUNKS_MAX):
            if not await self._in_turn(lambda file: self._make_room(file, now_us), now_us):
                break
        await self._in_turn(lambda file: give_back(file, self._limits), now_us)
        await self._in_turn(self._keeper.forget_generations, now_us)

    async def mend(self, now_us: UtcUs) -> bool:
        """Bring over, or stamp anew, a little more; whether there is still something to do."""
        more = await self._in_turn(lambda _: self._keeper.bring_over(now_us), now_us)
        if not self._keeper.inflow.is_over:
            return bool(more)
        return bool(await self._in_turn(self._writer.stamp, now_us))

    async def tend(self, clock: Clock) -> None:
        """For ever: what is to be done beside the readings."""
        pruned_us: UtcUs | None = None
        while True:
            now_us = clock.utc_us()
            while await self.mend(now_us):
                await clock.rest_until(MonotonicS(clock.monotonic_s() + STEP_REST_S))
            if pruned_us is None or abs(now_us - pruned_us) >= PRUNE_PERIOD_S * US_PER_S:
                await self.prune(now_us)
                pruned_us = now_us
            await clock.sleep_for(TEND_PERIOD_S)

    async def blocks_since(self, since_us: UtcUs) -> AsyncIterator[ReadingsBlock]:
        """Readings recorded at or after `since_us`, newest first: for filling the window at start-up."""
        held = [(one.recorded_us, one.body) for one in self._writer.ring.newest_first() if one.kind == "readings"]
        before = _NO_END
        while True:
            for recorded_us, body in held:
                if _NO_CLOCK_US < recorded_us < since_us:
                    return
                if (block := readings_of(body)) is not None:
                    yield block
            try:
                async with self._turn:
                    page = partial(StoreFile.readings_before, sequence=before)
                    rows = await self._keeper.glance(page, self._now_us)
            except StorageError:
                return
            if not rows:
                return
            before, held = rows[-1][0], [(recorded_us, body) for _, recorded_us, body in rows]

    async def _in_turn(self, work: Callable[[StoreFile], Awaitable[T]], now_us: UtcUs) -> T | bool | None:
        """What `work` gives, True for nothing; None when the card is away, and the keeper has told so."""
        self._now_us = now_us
        async with self._turn:
            try:
                result = await self._keeper.attempt(work, now_us)
            except StorageError:
                return None
        return True if result is None else result

    async def _flush(self, file: StoreFile, through: int, now_us: UtcUs) -> None:
        if self._keeper.state.card == "full":
            with suppress(StorageError):
                await self._make_room(file, now_us)
        await self._writer.flush(file, through, now_us)

    async def _make_room(self, file: StoreFile, now_us: UtcUs) -> bool:
        """Delete a little, when room is wanting; whether anything was."""
        # what was moved aside fills a disk however small the store is
        if await lacking_bytes(file, self._limits, spares_small=False) > 0 and self._keeper.drop_aside():
            return True
        lacking = await lacking_bytes(file, self._limits)
        return lacking > 0 and await drop_for_room(file, lacking, now_us)
