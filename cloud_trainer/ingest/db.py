"""One batch into PostgreSQL, exactly once. A shell.

The insert into `record` decides what is new; only that is expanded into the other tables, in the
same transaction.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple

import psycopg

import cloud_trainer.ingest.arrays  # noqa: F401 - so that psycopg takes arrays
from cloud_trainer.ingest.entry import Entry, read_entries
from cloud_trainer.ingest.partitions import Months
from cloud_trainer.ingest.reading_rows import COPY_READINGS, copy_bytes, reading_rows
from cloud_trainer.ingest.rollup import UPSERT_ROLLUP, rollup_columns
from cloud_trainer.ingest.series import Numbers, SeriesNumbers
from cloud_trainer.ingest.tables import (
    INSERT_BLOCKS,
    INSERT_RECORDS,
    block_columns,
    other_inserts,
    record_columns,
)
from gateway.contract.batches import Acknowledgement, Batch
from gateway.contract.records import ReadingsBlock

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
# What must hold in the same transaction, a nonce that is spent perhaps; raises to refuse the batch.
Admit = Callable[[Connection], Awaitable[None]]

# Some 10,000 readings, decoded in five milliseconds. A thread that takes no longer than that costs more than it
# gives: whatever is sent meanwhile waits for the interpreter to change threads.
_AT_ONCE_BYTES_MAX = 48 * 1024

_LOCK_GENERATION: LiteralString = """
SELECT generation_id, last_sequence FROM generation
WHERE gateway_id = %b AND generation = %b::uuid FOR NO KEY UPDATE
"""
_BEGIN_GENERATION: LiteralString = """
INSERT INTO generation (gateway_id, generation) VALUES (%b, %b::uuid) ON CONFLICT DO NOTHING
"""
_DIGESTS: LiteralString = """
SELECT sequence, digest FROM record WHERE gateway_id = %b AND generation = %b::uuid AND sequence = ANY(%b)
"""
_ADVANCE: LiteralString = "UPDATE generation SET last_sequence = %b WHERE generation_id = %b"


class OtherRecordError(Exception):
    """The key of a record is taken by another one: two gateways share a store's identity. Nothing was stored.

    `conflict_from` is the first sequence of the batch that is here with other bytes.
    """

    def __init__(self, conflict_from: int) -> None:
        super().__init__(f"sequence {conflict_from} of this store was sent before with other bytes")
        self.conflict_from = conflict_from


@dataclass(frozen=True, slots=True)
class Known:
    """What one process has learnt of one database; it may be empty, and is then a little slower."""

    months: Months = field(default_factory=Months)
    series: SeriesNumbers = field(default_factory=SeriesNumbers)


class _Generation(NamedTuple):
    generation_id: int
    last_sequence: int


async def store_batch(
    connection: Connection, batch: Batch, *, known: Known | None = None, admit: Admit | None = None
) -> Acknowledgement:
    """Store what is new in `batch`; when this returns, it is committed.

    A record that cannot be decoded is kept as bytes and logged; the rest of the batch is unharmed.

    Raises:
        RecordError: nothing of the batch can be stored.
        OtherRecordError: a key is taken by another record.
        psycopg.errors.ForeignKeyViolation: there is no such gateway.
        psycopg.Error: nothing was stored; the same batch may be sent again.
    """
    known = known or Known()
    entries = await _read(batch)
    assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE, "we commit, nobody else"
    await known.months.prepare(connection, [block.start_us for _, block in _blocks(entries)])
    async with connection.transaction():
        if admit is not None:
            await admit(connection)
        generation = await _lock(connection, batch)
        new = await _insert_records(connection, batch, entries)
        numbers = await _insert_readings(connection, batch.gateway, generation, new, known.series)
        await _insert_others(connection, batch, new)
        resume_after = await _advance(connection, batch, generation)
    last = generation.last_sequence if resume_after is not None else batch.records[-1].sequence
    known.series.remember(generation.generation_id, numbers, last_sequence=max(last, generation.last_sequence))
    for entry in new:
        if entry.problem:
            log.warning(
                "record kept undecoded: gateway=%s generation=%s sequence=%d problem=%s",
                batch.gateway,
                batch.generation,
                entry.sequence,
                entry.problem,
            )
    return Acknowledgement(batch.generation, batch.records[-1].sequence, len(new), resume_after)


async def _read(batch: Batch) -> list[Entry]:
    """The entries of `batch`; while a large one is decoded, other senders are served."""
    if sum(len(record.body) for record in batch.records) <= _AT_ONCE_BYTES_MAX:
        return read_entries(batch)
    return await asyncio.to_thread(read_entries, batch)


async def _lock(connection: Connection, batch: Batch) -> _Generation:
    """The generation, begun when it is new; other senders of it wait until we have committed."""
    whose = (batch.gateway, batch.generation)
    cursor = await connection.execute(_LOCK_GENERATION, whose, binary=True)
    row = await cursor.fetchone()
    if row is None:
        await connection.execute(_BEGIN_GENERATION, whose)
        cursor = await connection.execute(_LOCK_GENERATION, whose, binary=True)
        row = await cursor.fetchone()
        assert row is not None, "begun just now"
    return _Generation(*row)


async def _insert_records(connection: Connection, batch: Batch, entries: list[Entry]) -> list[Entry]:
    """Insert the keys of `entries` where they are new; returns those."""
    parameters = (batch.gateway, batch.generation, *record_columns(entries))
    cursor = await connection.execute(INSERT_RECORDS, parameters, binary=True)
    sequences = {sequence for (sequence,) in await cursor.fetchall()}
    await _refuse_others(connection, batch, [entry for entry in entries if entry.sequence not in sequences])
    return [entry for entry in entries if entry.sequence in sequences]


async def _refuse_others(connection: Connection, batch: Batch, repeated: list[Entry]) -> None:
    """A sequence that is here already must be the same record: a copied card would else lose what it adds."""
    if not repeated:
        return
    sequences = [entry.sequence for entry in repeated]
    cursor = await connection.execute(_DIGESTS, (batch.gateway, batch.generation, sequences), binary=True)
    kept = dict(await cursor.fetchall())
    for entry in repeated:
        if kept[entry.sequence] != entry.digest:
            raise OtherRecordError(entry.sequence)


async def _insert_readings(
    connection: Connection, gateway: str, generation: _Generation, new: list[Entry], series: SeriesNumbers
) -> Numbers:
    """Insert the blocks among `new`, their rows and what they add to the rollup; returns the series' numbers."""
    blocks = _blocks(new)
    if not blocks:
        return {}
    columns = [entry.columns for entry in new if entry.columns is not None]
    generation_id, last_sequence = generation
    layouts = [one.layout for one in columns]
    numbers = await series.find(connection, gateway, generation_id, layouts, last_sequence=last_sequence)
    rows = reading_rows(
        [
            (sequence, block, one, numbers[one.layout.key])
            for (sequence, block), one in zip(blocks, columns, strict=True)
        ]
    )
    async with connection.cursor() as cursor, cursor.copy(COPY_READINGS) as copy:
        await copy.write(copy_bytes(rows, generation_id))
    added = rollup_columns(rows)
    async with connection.pipeline():  # one answer is waited for
        await connection.execute(INSERT_BLOCKS, (generation_id, *block_columns(blocks)))
        if added[0].size:
            await connection.execute(UPSERT_ROLLUP, (gateway, *added))
    return numbers


async def _insert_others(connection: Connection, batch: Batch, new: list[Entry]) -> None:
    async with connection.cursor() as cursor:
        for statement, rows in other_inserts(new).items():
            await cursor.executemany(statement, [(batch.gateway, batch.generation, *row) for row in rows])


async def _advance(connection: Connection, batch: Batch, generation: _Generation) -> int | None:
    """Move the generation on; where the gateway must resume when we have less than it was told.

    That happens to a database that was put back from a backup. What came with this batch is kept, but we have
    not moved on to it: asked again, we say the same.
    """
    if batch.acknowledged > generation.last_sequence:
        return generation.last_sequence
    last = batch.records[-1].sequence
    if last > generation.last_sequence:
        await connection.execute(_ADVANCE, (last, generation.generation_id))
    return None


def _blocks(entries: list[Entry]) -> list[tuple[int, ReadingsBlock]]:
    return [(entry.sequence, entry.record) for entry in entries if isinstance(entry.record, ReadingsBlock)]
