"""The records a gateway keeps and sends home, and their bytes. Pure.

One record is encoded once: the same bytes lie in the gateway's store, travel in a batch and are
unpacked by ingest; batches.py says how they travel. Bytes are `zlib(msgpack(array with the kind first))`.
Values of readings are integers in the resolution of their measurand; `minimum` and `maximum` are kept as
distances from the mean, so that most integers are small.
"""

import zlib
from typing import Annotated, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from firmware_bridge.reading import Quality, Series, UtcUs
from gateway.contract.forecast_spec import ForecastKind

# A block of 2,000 series (50 meters of 40 values) is below 40 kB packed and 100 kB unpacked; ten
# times that is a fault or an attack.
RECORD_BYTES_MAX = 256 * 1024
RECORD_UNPACKED_BYTES_MAX = 1024 * 1024
TEXT_CHARACTERS_MAX = 400

Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
# "mix": the model and a baseline, in shares by their trailing errors.
Rung = Literal["model", "mix", "smart_persistence", "seasonal_naive", "daily_naive", "last_value"]
StatusEvent = Literal[
    "started",
    "stopped",
    "clock_stepped",
    "clock_set",  # the wall clock is trusted from now on: what was stamped before it has been stamped anew
    "clock_guessed",  # a power cut came before the clock could be trusted: those stamps are guesses
    "bus_silent",
    "bus_back",
    "generation_begun",  # the store's file is another one: why, and what was salvaged
    "records_dropped",  # no room was left: which sequences, and how many readings
    "record_quarantined",  # the cloud refused a record three times: which, and why
    "records_lost",  # the card was away for longer than the memory holds
    "revoked",
    "enrolled",
]
AnomalyKind = Literal["silent", "range", "stuck", "sign", "spike", "residual"]


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


class RawBlock(msgspec.Struct, frozen=True, array_like=True, tag="raw"):
    """Every reading of some series over some ticks: around an anomaly, because somebody asked, or always.

    Tick `i` is at `start_us + ticks_us[i]`. Column by column: `values` are integers in the resolution of the
    measurand, each as the distance from the last one that is not None, the first from 0; `quality` has one
    byte a tick. Build with `raw.pack_raw`, read with `raw.unpack_raw`.
    """

    start_us: UtcUs
    reason: Literal["anomaly", "request", "setting"]
    ticks_us: list[int]
    meters: list[Text]
    measurand_codes: list[bytes]
    values: list[list[int | None]]
    quality: list[bytes]


class ForecastRecord(msgspec.Struct, frozen=True, array_like=True, tag="forecast"):
    """Average power in steps `[start_us + i * step_us, ...)`, watts, by quantile.

    `rung` says what made it: the model, the statistical baseline that always runs beside it, or both in a mix.
    `bundle` is the digest of the manifest of the model bundle, None for the baseline. A load prediction has
    `p95` and `peak`: the quantiles of the highest step, in the order of the record's.
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
    kind: ForecastKind = "energy_forecast"
    p95: list[int] | None = None
    peak: list[int] | None = None


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
    """A model bundle was activated, refused, or fell back; or one of its models was retired here; and why."""

    at_us: UtcUs
    event: Literal["activated", "refused", "rolled_back", "host_killed", "retired", "reinstated"]
    release: int | None
    bundle: str | None
    reason: Text


class StatusRecord(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """The gateway's own state, when it changes."""

    at_us: UtcUs
    event: StatusEvent
    software: Text
    detail: Text


Record = ReadingsBlock | RawBlock | ForecastRecord | AnomalyRecord | DecisionRecord | ModelReport | StatusRecord

_SomeRecord = TypeVar("_SomeRecord", bound=Record)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
# An instant is what is declared as one: periods, steps and distances between ticks are plain integers.
_INSTANTS: dict[type[msgspec.Struct], tuple[str, ...]] = {
    kind: tuple(field.name for field in msgspec.structs.fields(kind) if field.type is UtcUs)
    for kind in get_args(Record)
}
# All that msgspec raises for bytes it cannot take; nesting without end is a RecursionError.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError)


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
    return decode_unpacked(unpack_record(body))


def unpack_record(body: bytes) -> bytes:
    """What was packed into `body`: not yet a record, but of a size that can be looked at first.

    Raises:
        RecordError: damaged or too large.
    """
    if len(body) > RECORD_BYTES_MAX:
        raise RecordError(f"record of {len(body)} bytes: more than {RECORD_BYTES_MAX}")
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(body, RECORD_UNPACKED_BYTES_MAX)
    except zlib.error as error:
        raise RecordError(f"record cannot be decoded: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise RecordError("record is cut short, too large, or followed by other bytes")
    return unpacked


def decode_unpacked(unpacked: bytes) -> Record:
    """The record in bytes that `unpack_record` gave.

    Raises:
        RecordError: of an unknown kind, or none.
    """
    try:
        return _DECODER.decode(unpacked)
    except UNDECODABLE as error:
        raise RecordError(f"record cannot be decoded: {error}") from error


def restamp(record: _SomeRecord, offset_us: int) -> _SomeRecord:
    """`record` with every instant later by `offset_us`, as a clock that was right would have stamped it.

    Durations stay. So do the words of a sentence, which may name a time of day.
    """
    instants = {name: UtcUs(getattr(record, name) + offset_us) for name in _INSTANTS[type(record)]}
    return msgspec.structs.replace(record, **instants)


def _within_limits(record: Record) -> Record:
    if isinstance(record, ReadingsBlock | RawBlock):
        return record  # its names come from a checked configuration
    texts = ((name, getattr(record, name)) for name in record.__struct_fields__)
    long = {
        name: text[: TEXT_CHARACTERS_MAX - 1] + "…"
        for name, text in texts
        if isinstance(text, str) and len(text) > TEXT_CHARACTERS_MAX
    }
    return msgspec.structs.replace(record, **long) if long else record
