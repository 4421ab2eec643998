"""The records a gateway keeps and sends home, and their bytes. Pure.

One record is encoded once: the same bytes lie in the gateway's store, travel in a batch and are
unpacked by ingest. Bytes are `zlib(msgpack(array with the kind first))`. Values of readings are
integers in the resolution of their measurand; `minimum` and `maximum` are kept as distances from
the mean, so that most integers are small.

The exactly-once key of a record is (gateway, store generation, sequence).
"""

import zlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.reading import Quality, Series, UtcUs

# A block of 2,000 series (50 meters of 40 values) is below 40 kB packed and 100 kB unpacked; ten
# times that is a fault or an attack.
RECORD_BYTES_MAX = 256 * 1024
RECORD_UNPACKED_BYTES_MAX = 1024 * 1024
BATCH_RECORDS_MAX = 2_000
BATCH_BYTES_MAX = 4 * 1024 * 1024
TEXT_CHARACTERS_MAX = 400

Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
Rung = Literal["model", "seasonal_naive", "daily_naive", "last_value"]
AnomalyKind = Literal["silent", "range", "stuck", "sign", "spike", "residual"]
Sequence = Annotated[int, Meta(ge=1)]
# \Z and not $, which lets a line end through
GatewayId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Generation = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class RecordError(ValueError):
    """The bytes are not a record of ours: damaged, too large, or of an unknown kind."""


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """One series over one recording period, in SI base units.

    The three values are None exactly when `count` is 0. They are made of the `count` good values alone,
    and of suspect ones only where none was good. `quality` is GOOD when every poll of the period gave a
    good value, MISSING when none gave a value, else SUSPECT.
    """

    series: Series
    mean: float | None
    minimum: float | None
    maximum: float | None
    count: int
    quality: Quality


class ReadingsBlock(msgspec.Struct, frozen=True, array_like=True, tag="readings"):
    """All series of one recording period `[start_us, start_us + period_us)`, column by column.

    `first_us` and `last_us` are the ticks really covered: a gateway started in mid-period records
    the rest of it. Build with `readings.pack_block`, read with `readings.unpack_block`.
    """

    start_us: UtcUs
    period_us: int
    first_us: UtcUs
    last_us: UtcUs
    meters: list[Text]
    measurand_codes: list[bytes]
    mean: list[int | None]
    below_mean: list[int]
    above_mean: list[int]
    count: list[int]
    quality: bytes


class ForecastRecord(msgspec.Struct, frozen=True, array_like=True, tag="forecast"):
    """Average power in steps `[start_us + i * step_us, ...)`, watts, by quantile.

    `rung` says what made it: the model, or the statistical baseline that always runs beside it.
    `bundle` is the digest of the manifest of the model bundle, None for the baseline.
    """

    issued_us: UtcUs
    target: Literal["consumption_w", "production_w"]
    rung: Rung
    bundle: str | None
    start_us: UtcUs
    step_us: int
    p10: list[int]
    p50: list[int]
    p90: list[int]


class AnomalyRecord(msgspec.Struct, frozen=True, array_like=True, tag="anomaly"):
    """Something is wrong with a series: what, since when, what was seen and what was expected."""

    at_us: UtcUs
    kind: AnomalyKind
    series: str
    since_us: UtcUs
    observed: float | None
    expected_low: float | None
    expected_high: float | None
    sentence: Text


class DecisionRecord(msgspec.Struct, frozen=True, array_like=True, tag="decision"):
    """What the gateway concluded at `at_us`, and from which model."""

    at_us: UtcUs
    verdict: Literal["normal", "attention", "outage"]
    sentence: Text
    rung: str
    bundle: str | None
    energy_next_day_wh: int | None
    peak_next_day_w: int | None
    anomalies_active: int


class ModelReport(msgspec.Struct, frozen=True, array_like=True, tag="model_report"):
    """A model bundle was activated, refused, or fell back, and why."""

    at_us: UtcUs
    event: Literal["activated", "refused", "rolled_back", "host_killed"]
    release: int | None
    bundle: str | None
    reason: Text


class StatusRecord(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """The gateway's own state, when it changes."""

    at_us: UtcUs
    event: Literal["started", "stopped", "clock_stepped", "bus_silent", "bus_back"]
    software: Text
    detail: Text


Record = ReadingsBlock | ForecastRecord | AnomalyRecord | DecisionRecord | ModelReport | StatusRecord

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
# All that msgspec raises for bytes it cannot take; nesting without end is a RecursionError.
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError)


def encode_record(record: Record) -> bytes:
    """The bytes of `record`, as stored and sent; a text beyond its limit is cut.

    A record that nobody at home can decode would hold up all behind it.
    """
    return zlib.compress(_ENCODER.encode(_within_limits(record)), 6)


def decode_record(body: bytes) -> Record:
    """The record in `body`.

    Raises:
        RecordError: damaged, too large, or of an unknown kind. Work is bounded by the limits above.
    """
    if len(body) > RECORD_BYTES_MAX:
        raise RecordError(f"record of {len(body)} bytes: more than {RECORD_BYTES_MAX}")
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(body, RECORD_UNPACKED_BYTES_MAX)
        if not unpacker.eof or unpacker.unused_data:
            raise RecordError("record is cut short, too large, or followed by other bytes")
        return _DECODER.decode(unpacked)
    except (zlib.error, *_UNDECODABLE) as error:
        raise RecordError(f"record cannot be decoded: {error}") from error


def _within_limits(record: Record) -> Record:
    if isinstance(record, ReadingsBlock):
        return record  # its names come from a checked configuration
    texts = ((name, getattr(record, name)) for name in record.__struct_fields__)
    long = {
        name: text[: TEXT_CHARACTERS_MAX - 1] + "…"
        for name, text in texts
        if isinstance(text, str) and len(text) > TEXT_CHARACTERS_MAX
    }
    return msgspec.structs.replace(record, **long) if long else record


class StoredRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record with its place in the store: `sequence` rises by one within a generation."""

    sequence: Sequence
    recorded_us: UtcUs
    body: bytes


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends in one request: records with consecutive sequences."""

    gateway: GatewayId
    generation: Generation
    records: Annotated[list[StoredRecord], Meta(min_length=1, max_length=BATCH_RECORDS_MAX)]


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cloud's answer once a batch is committed: everything up to `acknowledged` is safe there.

    `stored` counts the records that were new: 0 for a batch sent again.
    """

    generation: Generation
    acknowledged: Sequence
    stored: int


_BATCH_DECODER = msgspec.msgpack.Decoder(Batch)
_ACKNOWLEDGEMENT_DECODER = msgspec.json.Decoder(Acknowledgement)


def encode_batch(batch: Batch) -> bytes:
    """The body of the upload request (msgpack; the records in it are packed already)."""
    return _ENCODER.encode(batch)


def decode_batch(body: bytes) -> Batch:
    """The batch in `body`, its sequences checked to be consecutive.

    Raises:
        RecordError: not a batch of ours.
    """
    if len(body) > BATCH_BYTES_MAX:
        raise RecordError(f"batch of {len(body)} bytes: more than {BATCH_BYTES_MAX}")
    try:
        batch = _BATCH_DECODER.decode(body)
    except _UNDECODABLE as error:
        raise RecordError(f"batch cannot be decoded: {error}") from error
    first = batch.records[0].sequence
    if any(record.sequence != first + i for i, record in enumerate(batch.records)):
        raise RecordError("the sequences of the batch are not consecutive")
    return batch


def encode_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    """The body of the cloud's answer (JSON)."""
    return msgspec.json.encode(acknowledgement)


def decode_acknowledgement(body: bytes) -> Acknowledgement:
    """The acknowledgement in `body`.

    Raises:
        RecordError: something else answered, a captive portal perhaps.
    """
    try:
        return _ACKNOWLEDGEMENT_DECODER.decode(body)
    except _UNDECODABLE as error:
        raise RecordError(f"the answer is not an acknowledgement: {error}") from error
