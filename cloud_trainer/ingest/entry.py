"""A record as ingest sees it: decoded when that is possible, always with its bytes. Pure."""

import hashlib
from dataclasses import dataclass

from cloud_trainer.ingest.columns import Columns, read_columns
from gateway.contract.batches import Batch, StoredRecord
from gateway.contract.raw import unpack_raw
from gateway.contract.records import (
    RECORD_UNPACKED_BYTES_MAX,
    ForecastRecord,
    RawBlock,
    ReadingsBlock,
    Record,
    RecordError,
    decode_unpacked,
    unpack_record,
)

UNDECODABLE = "undecodable"
# Stamps outside 2000..2200 are no instants of ours; inside, microseconds are exact in PostgreSQL.
INSTANT_US_MIN = 946_684_800_000_000
INSTANT_US_MAX = 7_258_118_400_000_000
# No recording period and no forecast step is longer than a week.
DURATION_US_MAX = 7 * 86_400_000_000
# PostgreSQL's bigint.
INTEGER_MAX = 2**63 - 1

# Of the 32 of SHA-256: two records of one key that differ meet by chance once in 2^64 pairs.
DIGEST_BYTES = 16

# Of one batch, unpacked: sixteen times what a gateway puts into one. A kilobyte can unpack to a megabyte, and 2,000
# such records to two gigabytes; whoever sends less at once gets through.
BATCH_UNPACKED_BYTES_MAX = 16 * 1024 * 1024
# Of one batch: what the database takes in half the time it has for one.
BATCH_AGGREGATES_MAX = 200_000

_DURATIONS = ("period_us", "step_us")


class TooMuchError(RecordError):
    """The records of a batch unpack to more than we take at once; each for itself may be fine."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a batch.

    `record` is None, `kind` is UNDECODABLE and `problem` says why when the record cannot be put into
    tables. `recorded_us` is None when the gateway's stamp is no instant. `columns` are those of a block of
    readings. `digest` tells the record from another one under its key.
    """

    sequence: int
    recorded_us: int | None
    body: bytes
    digest: bytes
    kind: str
    record: Record | None
    columns: Columns | None = None
    problem: str = ""


def read_entries(batch: Batch) -> list[Entry]:
    """The entries of `batch`; one that cannot be read does not harm the others.

    Raises:
        RecordError: the sequences are beyond what any store counts to.
        TooMuchError: there is more in them than we take at once.
    """
    if batch.records[-1].sequence > INTEGER_MAX:
        raise RecordError(f"sequence {batch.records[-1].sequence} is larger than {INTEGER_MAX}")
    entries, unpacked_bytes, aggregates = [], 0, 0
    for stored in batch.records:
        entry, size = _read_entry(stored)
        unpacked_bytes += size
        aggregates += 0 if entry.columns is None else len(entry.columns.layout.names)
        if unpacked_bytes > BATCH_UNPACKED_BYTES_MAX or aggregates > BATCH_AGGREGATES_MAX:
            limits = f"{BATCH_UNPACKED_BYTES_MAX} bytes and {BATCH_AGGREGATES_MAX} aggregates"
            raise TooMuchError(f"the records of the batch unpack to more than {limits}")
        entries.append(entry)
    return entries


def _read_entry(stored: StoredRecord) -> tuple[Entry, int]:
    """The entry, and how many bytes were unpacked for it."""
    size = 0
    recorded_us = stored.recorded_us if _is_instant(stored.recorded_us) else None
    digest = hashlib.sha256(stored.body).digest()[:DIGEST_BYTES]
    try:
        _check_stamp(stored)
        size = RECORD_UNPACKED_BYTES_MAX  # until it is known that it was less
        unpacked = unpack_record(stored.body)
        size = len(unpacked)
        record = decode_unpacked(unpacked)
        _check_fields(record)
        columns = _read_block(record) if isinstance(record, ReadingsBlock) else None
        if isinstance(record, ForecastRecord):
            _check_forecast(record)
        if isinstance(record, RawBlock):
            _check_raw(record)
    except RecordError as error:
        entry = Entry(stored.sequence, recorded_us, stored.body, digest, UNDECODABLE, None, problem=str(error))
        return entry, size
    kind = str(record.__struct_config__.tag)
    return Entry(stored.sequence, recorded_us, stored.body, digest, kind, record, columns), size


def _check_stamp(stored: StoredRecord) -> None:
    if not _is_instant(stored.recorded_us):
        raise RecordError(f"recorded_us = {stored.recorded_us} is no instant")


def _check_fields(record: Record) -> None:
    """Refuse what no column can hold: the names say what is an instant and what a duration."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if name in _DURATIONS:
            fits = 0 < value <= DURATION_US_MAX
        elif isinstance(value, list):
            fits = True  # columns, which the checks of their kinds look at
        elif name.endswith("_us"):
            fits = _is_instant(value)
        elif isinstance(value, str):
            fits = "\0" not in value
        elif isinstance(value, int):
            fits = abs(value) <= INTEGER_MAX
        else:
            fits = True
        if not fits:
            raise RecordError(f"{name} = {value!r:.60} is out of range")


def _read_block(block: ReadingsBlock) -> Columns:
    if not block.start_us <= block.first_us <= block.last_us < block.start_us + block.period_us:
        raise RecordError("the ticks of the block lie outside its period")
    return read_columns(block)


def _check_forecast(forecast: ForecastRecord) -> None:
    quantiles = [forecast.p10, forecast.p50, forecast.p90]
    if forecast.p95 is not None:
        quantiles.append(forecast.p95)
    if not forecast.p50 or any(len(quantile) != len(forecast.p50) for quantile in quantiles):
        raise RecordError("the quantiles of the forecast are empty or differ in length")
    peak = forecast.peak or []
    if forecast.peak is not None and len(peak) != len(quantiles):
        raise RecordError(f"the peak of the forecast has {len(peak)} quantiles, its steps have {len(quantiles)}")
    if any(abs(value) > INTEGER_MAX for quantile in (*quantiles, peak) for value in quantile):
        raise RecordError("a value of the forecast is out of range")


def _check_raw(block: RawBlock) -> None:
    ticks = unpack_raw(block).ticks
    if not ticks:
        raise RecordError("the raw block has no ticks")
    if not _is_instant(ticks[-1]) or ticks[-1] - block.start_us > DURATION_US_MAX:
        raise RecordError("the ticks of the raw block are out of range")


def _is_instant(at_us: int) -> bool:
    return INSTANT_US_MIN <= at_us < INSTANT_US_MAX
