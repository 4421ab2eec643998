"""One batch into PostgreSQL, exactly once. A shell.

The insert into `record` decides what is new; only that is expanded into the other tables, in the
same transaction.
"""

import asyncio
import logging
from typing import Any

import psycopg

from cloud_trainer.ingest.entry import Entry, read_entries
from cloud_trainer.ingest.tables import (
    INSERT_READINGS,
    INSERT_RECORDS,
    other_inserts,
    reading_columns,
    record_columns,
)
from gateway.contract.batches import Acknowledgement, Batch
from gateway.contract.records import ReadingsBlock

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]


class OtherRecordError(Exception):
    """The key of a record is taken by another one: two gateways share a store's identity. Nothing was stored."""


async def store_batch(connection: Connection, batch: Batch) -> Acknowledgement:
    """Store what is new in `batch`; when this returns, it is committed.

    A record that cannot be decoded is kept as bytes and logged; the rest of the batch is unharmed.

    Raises:
        RecordError: nothing of the batch can be stored.
        OtherRecordError: a key is taken by another record.
        psycopg.Error: nothing was stored; the same batch may be sent again.
    """
    # Decoding a full batch takes a second: other senders are served meanwhile.
    entries = await asyncio.to_thread(read_entries, batch)
    assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE, "we commit, nobody else"
    async with connection.transaction():
        stored = await _insert(connection, batch, entries)
    for entry in stored:
        if entry.problem:
            log.warning(
                "record kept undecoded: gateway=%s generation=%s sequence=%d problem=%s",
                batch.gateway,
                batch.generation,
                entry.sequence,
                entry.problem,
            )
    return Acknowledgement(batch.generation, batch.records[-1].sequence, len(stored))


async def _refuse_other_bodies(connection: Connection, batch: Batch, new: set[int]) -> None:
    """A sequence that is here already must be the same record: a copied card would else lose what it adds."""
    repeated = {record.sequence: record.body for record in batch.records if record.sequence not in new}
    if not repeated:
        return
    cursor = await connection.execute(
        "SELECT sequence, body FROM record WHERE gateway_id = %s AND generation = %s::uuid AND sequence = ANY(%s)",
        (batch.gateway, batch.generation, list(repeated)),
    )
    for sequence, body in await cursor.fetchall():
        if body != repeated[sequence]:
            raise OtherRecordError(f"sequence {sequence} of this store was sent before with other bytes")


async def _insert(connection: Connection, batch: Batch, entries: list[Entry]) -> list[Entry]:
    """Insert `entries` where they are new; returns those."""
    whose = (batch.gateway, batch.generation)
    cursor = await connection.execute(INSERT_RECORDS, (*whose, *record_columns(entries)))
    sequences = {sequence for (sequence,) in await cursor.fetchall()}
    new = [entry for entry in entries if entry.sequence in sequences]
    await _refuse_other_bodies(connection, batch, sequences)
    if any(isinstance(entry.record, ReadingsBlock) for entry in new):
        await connection.execute(INSERT_READINGS, (*whose, *reading_columns(new)))
    for statement, rows in other_inserts(new).items():
        await cursor.executemany(statement, [(*whose, *row) for row in rows])
    return new
