"""Stores for tests: records to put into them, and ways to look at what they hold."""

import random
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from firmware_bridge.reading import UtcUs
from gateway.config import StoreConfig
from gateway.contract.batches import StoredRecord
from gateway.contract.records import ReadingsBlock, Record, StatusRecord, decode_record
from gateway.core.salvage import KINDS
from gateway.shell.database import Connect, connect_sqlite
from gateway.shell.store import FILE_NAME, Store

NOW_US = UtcUs(1_700_000_000_000_000)
DAY_US = 86_400_000_000
MANY, ENDLESS = 1_000_000, 1 << 40
ALL_KINDS = KINDS
LIMITS = StoreConfig()


def status(number: int) -> Record:
    return StatusRecord(UtcUs(NOW_US + number), "started", "1.0", f"number {number}")


def statuses(count: int, first: int = 1) -> list[Record]:
    return [status(number) for number in range(first, first + count)]


def block(seed: int, size: int = 1) -> ReadingsBlock:
    """Readings, their start being the seed, in so many bytes, which no compression makes smaller."""
    codes = [random.Random(seed).randbytes(size)]
    return ReadingsBlock(UtcUs(seed), 60, UtcUs(seed), UtcUs(seed), [], codes, [], [], [], [], b"")


@asynccontextmanager
async def opened(
    folder: Path, now_us: UtcUs = NOW_US, *, limits: StoreConfig = LIMITS, connect: Connect = connect_sqlite
) -> AsyncIterator[Store]:
    store = await Store.open(folder, now_us, limits=limits, connect=connect)
    try:
        yield store
    finally:
        await store.close()


async def kept(store: Store, kinds: Iterable[str] = ALL_KINDS) -> list[StoredRecord]:
    """Everything that can go home in one batch."""
    waiting = await store.waiting(frozenset(kinds), MANY, ENDLESS)
    return [] if waiting is None else waiting.records


async def all_kept(store: Store, kinds: Iterable[str] = ALL_KINDS) -> list[tuple[str, StoredRecord]]:
    """Everything that can go home, with its generation; the cursor is where it was afterwards."""
    found: list[tuple[str, StoredRecord]] = []
    before = store.queue.acknowledged
    while waiting := await store.waiting(frozenset(kinds), MANY, ENDLESS):
        found += [(waiting.generation, one) for one in waiting.records]
        await store.acknowledge(waiting.records[-1].sequence)
    await store.rewind(before)
    return found


def numbers(records: Iterable[StoredRecord]) -> list[int]:
    """The numbers of statuses made here; what the store itself noted has none."""
    details = [decode_record(one.body) for one in records]
    return [
        int(one.detail.removeprefix("number "))
        for one in details
        if isinstance(one, StatusRecord) and one.detail.startswith("number ")
    ]


def events(records: Iterable[StoredRecord]) -> list[str]:
    """What happened to the store, by its own notes."""
    details = [decode_record(one.body) for one in records]
    return [one.event for one in details if isinstance(one, StatusRecord) and not one.detail.startswith("number ")]


def look(folder: Path, query: str, *parameters: object) -> list[tuple[object, ...]]:
    """What a query gives on the file of a store, read from outside."""
    with closing(sqlite3.connect(f"file:{folder / FILE_NAME}?mode=ro", uri=True)) as file:
        return file.execute(query, parameters).fetchall()


def change(folder: Path, query: str) -> None:
    """Change the file of a store that is closed."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as file:
        file.execute(query)
        file.commit()


def asides(folder: Path, why: str = "damaged") -> list[Path]:
    return sorted(folder.glob(f"{why}-*.sqlite"))
