"""A record as ingest sees it: decoded when that is possible, always with its bytes. Pure."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

from cloud_trainer.ingest.columns import Columns, read_columns
from gateway.contract.batches import Batch, StoredRecord
from gateway.contract.records import ForecastRecord, RawBlock, ReadingsBlock, Record, RecordError, decode_record

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

_DURATIONS = ("period_us", "step_us")


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
    """
    if batch.records[-1].sequence > INTEGER_MAX:
        raise RecordError(f"sequence {batch.records[-1].sequence} is larger than {INTEGER_MAX}")
    return [_read_entry(stored) for stored in batch.records]


def _read_entry(stored: StoredRecord) -> Entry:
    recorded_us = stored.recorded_us if _is_instant(stored.recorded_us) else None
    digest = hashlib.sha256(stored.body).digest()[:DIGEST_BYTES]
    try:
        _check_stamp(stored)
        record = decode_record(stored.body)
        _check_fields(record)
        columns = _read_block(record) if isinstance(record, ReadingsBlock) else None
        if isinstance(record, ForecastRecord):
            _check_forecast(record)
        if isinstance(record, RawBlock):
            _check_raw(record)
    except RecordError as error:
        return Entry(stored.sequence, recorded_us, stored.body, digest, UNDECODABLE, None, problem=str(error))
    kind = str(record.__struct_config__.tag)
    return Entry(stored.sequence, recorded_us, stored.body, digest, kind, record, columns)


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
    quantiles = (forecast.p10, forecast.p50, forecast.p90)
    if not forecast.p50 or any(len(quantile) != len(forecast.p50) for quantile in quantiles):
        raise RecordError("the quantiles of the forecast are empty or differ in length")
    if any(abs(value) > INTEGER_MAX for quantile in quantiles for value in quantile):
        raise RecordError("a value of the forecast is out of range")


def _check_raw(block: RawBlock) -> None:
    ticks_us = block.ticks_us
    if not ticks_us or ticks_us[0] < 0 or any(after <= before for before, after in pairwise(ticks_us)):
        raise RecordError("the ticks of the raw block do not rise")
    if ticks_us[-1] > DURATION_US_MAX:
        raise RecordError("the raw block is too long")


def _is_instant(at_us: int) -> bool:
    return INSTANT_US_MIN <= at_us < INSTANT_US_MAX
