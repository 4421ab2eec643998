"""Damaged files of a store: it starts, keeps what it found, and brings home every record whose pages are whole."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from firmware_bridge.reading import UtcUs
from gateway.config import StoreConfig
from gateway.contract.batches import StoredRecord
from gateway.contract.records import ReadingsBlock, Record, StatusRecord
from gateway.shell import generations
from gateway.shell.database import connect_sqlite
from gateway.shell.generations import Generation, stretch
from gateway.shell.store import Store
from gateway.shell.store_folder import FILE_NAME, log_of
from tests.sim.damaged_store import DAMAGES, INDEX_LEAF, TABLE_LEAF, Files, Place, Whereabouts, is_hit
from tests.sim.stored_history import folder_in_memory, put, set_aside

pytestmark = pytest.mark.slow

NOW_US = UtcUs(1_700_000_000_000_000)
LATER_US = UtcUs(NOW_US + 3_600_000_000)
LIMITS = StoreConfig(keep_acknowledged_days=30)
KINDS = frozenset({"readings", "status"})
MUTANTS, NIGHTLY_MUTANTS = 60, 1_000
RECORDS = 90
HEADER_BYTES = 100


class Kept(NamedTuple):
    """A record, where it lay, and whether it had gone home."""

    record: StoredRecord
    generation: str
    is_home: bool
    places: list[Place]


class Original(NamedTuple):
    """The files of a store before anything happened to them, and what lies where."""

    files: Files
    journal: bytes
    records: list[Kept]
    where: Whereabouts
    ids: Place
    cursor: Place


def record(number: int, chance: Random) -> Record:
    """Small ones, and some that go on over up to four pages."""
    at_us = UtcUs(NOW_US + number)
    if number % 3:
        return StatusRecord(at_us, "started", "1.0", f"number {number} {chance.randbytes(60).hex()}")
    codes = [chance.randbytes(chance.randrange(300, 14_000))]
    return ReadingsBlock(at_us, 60, at_us, at_us, [], codes, [], [], [], [], b"")


async def write(folder: Path, *, has_log: bool) -> Original:
    """A store of two generations, a part of which is at home and the last part of which is in the log alone."""
    chance = Random(f"original {has_log}")
    store = await Store.open(folder, NOW_US, limits=LIMITS)
    for number in range(RECORDS):
        await store.append([record(number, chance)], UtcUs(NOW_US + number))
        if number == RECORDS // 4:
            await store.begin_generation(number + 1, NOW_US)
        if number == RECORDS // 3:
            waiting = await store.waiting(KINDS, RECORDS // 8, 1 << 30)
            assert waiting is not None
            await store.acknowledge(waiting.records[-1].sequence)
        if number == RECORDS // 2:
            await checkpoint(folder)
    if not has_log:
        await store.close()
        store = await Store.open(folder, NOW_US, limits=LIMITS)
    path = folder / FILE_NAME
    files = Files(path.read_bytes(), log_of(path).read_bytes() if has_log else b"")
    journal = (folder / generations.FILE_NAME).read_bytes()
    held = await read(folder)
    await store.close()
    where = Whereabouts(files)
    records = [Kept(one, generation, is_home, where.places(one.body)) for one, generation, is_home in held]
    ids = where.of(TABLE_LEAF, held[0][1].encode())
    return Original(files, journal, records, where, ids, where.of(INDEX_LEAF, b"sync"))


_ORIGINALS: dict[bool, Original] = {}


async def original_of(folder: Path, *, has_log: bool) -> Original:
    """Written once."""
    if has_log not in _ORIGINALS:
        _ORIGINALS[has_log] = await write(folder / f"original-{has_log}", has_log=has_log)
    return _ORIGINALS[has_log]


async def checkpoint(folder: Path) -> None:
    database = await connect_sqlite(folder / FILE_NAME)
    await database.query("PRAGMA wal_checkpoint(TRUNCATE)")
    await database.close()


async def read(folder: Path) -> list[tuple[StoredRecord, str, bool]]:
    """All records with their generations, and whether they are at home."""
    database = await connect_sqlite(folder / FILE_NAME)
    try:
        rows = await database.query("SELECT sequence, recorded_us, body FROM record ORDER BY sequence")
        begun = [Generation(*row) for row in await database.query("SELECT * FROM generation ORDER BY 1")]
        ((acknowledged,),) = await database.query("SELECT sequence FROM cursor WHERE name = 'sync'")
    finally:
        await database.close()
    return [
        (StoredRecord(sequence, UtcUs(at_us), body), stretch(begun, sequence)[0], sequence <= acknowledged)
        for sequence, at_us, body in rows
    ]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    """The store, with everything brought over that can be."""
    store = await Store.open(folder, LATER_US, limits=LIMITS)
    try:
        yield store
    finally:
        await store.close()


async def sent(store: Store) -> dict[tuple[str, int], bytes]:
    """What goes home, until nothing waits."""
    gone: dict[tuple[str, int], bytes] = {}
    while (waiting := await store.waiting(KINDS, 40, 1 << 22)) is not None:
        gone |= {(waiting.generation, one.sequence): one.body for one in waiting.records}
        await store.acknowledge(waiting.records[-1].sequence)
    return gone


# --- mutants ---------------------------------------------------------------------------------------


async def mutant(number: int, folder: Path) -> tuple[Original, Files, bytes | None]:
    """The same for the same number: what was damaged, the damaged files, and the list of generations beside them."""
    chance = Random(f"mutant {number}")
    original = await original_of(folder, has_log=chance.random() < 0.7)
    files = DAMAGES[number % len(DAMAGES)](original.files, chance)
    journal = chance.choice([original.journal] * 4 + [None, original.journal[: len(original.journal) // 2]])
    return original, files, journal


async def assert_survives(folder: Path, original: Original, damaged: Files, journal: bytes | None) -> bool:
    """The store starts, keeps what it found, and loses nothing that is whole. Gives whether it noticed the damage."""
    put({FILE_NAME: damaged.database, log_of(Path(FILE_NAME)).name: damaged.log}, folder)
    put({} if journal is None else {generations.FILE_NAME: journal}, folder)
    async with opened(folder) as store:
        found = {one.sequence: (one, generation) for one, generation, _ in await read(folder)}
        aside = set_aside(folder)
        gone = await sent(store)
        await store.append([record(0, Random(0))], LATER_US)
        assert (store.queue.card, store.queue.records) == ("ok", 1)
    assert_original_is_kept(aside, damaged)

    knows = journal == original.journal or not is_any_hit([original.ids], original, damaged)
    minds = bool(aside) or not is_any_hit([original.cursor], original, damaged)
    for kept in original.records:
        if is_any_hit(kept.places, original, damaged) or (not aside and is_cut_off(kept, original, damaged)):
            continue
        one, generation = found[kept.record.sequence]
        assert one == kept.record
        assert generation == kept.generation or not knows
        assert kept.is_home or not minds or gone[generation, one.sequence] == one.body
    if aside:
        bodies = {kept.record.sequence: kept.record.body for kept in original.records}
        given = {sequence: one.body for sequence, (one, _) in found.items() if sequence <= max(bodies)}
        assert given.items() <= bodies.items()

    async with opened(folder) as store:
        assert set_aside(folder) == aside
        assert store.queue.records == 1
    return bool(aside)


def assert_original_is_kept(aside: list[Path], damaged: Files) -> None:
    """One file was moved aside at most, and is as it was found."""
    assert len(aside) <= 1
    for path in aside:
        log = log_of(path)
        assert path.read_bytes() == damaged.database
        assert (log.read_bytes() if log.exists() else b"") == damaged.log


def is_any_hit(places: list[Place], original: Original, damaged: Files) -> bool:
    return any(is_hit(place, original.files, damaged) for place in places)


def is_cut_off(kept: Kept, original: Original, damaged: Files) -> bool:
    """Whether a record stands in the log behind damage that is like that of a power cut.

    A commit that is not whole, with one commit behind it at most: SQLite ends the log there, and so does the store.
    """
    frames, commits = original.where.frames, [-1, *original.where.commits]
    hit = [index for index, frame in enumerate(frames) if is_hit(frame, original.files, damaged)]
    mine = [frames.index(place) for place in kept.places if place.is_log]
    return bool(hit and mine) and max(mine) >= hit[0] > commits[-3:][0]


async def test_each_byte_of_the_header_may_be_damaged():
    """One after the other; a file that SQLite would not write to any more is noticed as well."""
    with folder_in_memory() as folder:
        original = await original_of(folder, has_log=True)
        for at in range(HEADER_BYTES):
            head = bytearray(original.files.database)
            head[at] = Random(at).choice([0, 1, head[at] ^ 1, head[at] ^ 0x80, 255])
            damaged = original.files._replace(database=bytes(head))
            (place := folder / str(at)).mkdir()
            await assert_survives(place, original, damaged, original.journal)
            shutil.rmtree(place)


async def survive(numbers: range, folder: Path) -> int:
    """These mutants; gives how many of them were noticed."""
    noticed = 0
    for number in numbers:
        (place := folder / str(number)).mkdir()
        original, files, journal = await mutant(number, folder)
        try:
            noticed += await assert_survives(place, original, files, journal)
        except BaseException as error:
            error.add_note(f"mutant {number}: {DAMAGES[number % len(DAMAGES)].__name__}")
            raise
        shutil.rmtree(place)
    return noticed


async def test_a_store_survives_damage_of_every_kind():
    with folder_in_memory() as folder:
        assert await survive(range(MUTANTS), folder) > MUTANTS // 3


@pytest.mark.nightly
async def test_a_store_survives_a_thousand_mutants():
    with folder_in_memory() as folder:
        assert await survive(range(NIGHTLY_MUTANTS), folder) > NIGHTLY_MUTANTS // 3
