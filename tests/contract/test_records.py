import random
import tracemalloc
import zlib
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.readings import pack_block
from gateway.contract.records import (
    RECORD_BYTES_MAX,
    RECORD_UNPACKED_BYTES_MAX,
    TEXT_CHARACTERS_MAX,
    Aggregate,
    AnomalyRecord,
    DecisionRecord,
    ForecastRecord,
    ModelReport,
    RawBlock,
    ReadingsBlock,
    Record,
    RecordError,
    Rung,
    StatusRecord,
    decode_record,
    encode_record,
    restamp,
)

GENERATION = "0123456789abcdef" * 2
INSTANTS = st.integers(0, 2**53).map(UtcUs)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=TEXT_CHARACTERS_MAX)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.none() | st.floats(allow_nan=False)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        ReadingsBlock,
        start_us=INSTANTS,
        period_us=st.integers(1, 10**9),
        first_us=INSTANTS,
        last_us=INSTANTS,
        meters=st.lists(TEXTS, max_size=3),
        measurand_codes=st.lists(st.binary(max_size=4), max_size=3),
        mean=st.lists(st.none() | INTEGERS, max_size=4),
        below_mean=st.lists(INTEGERS, max_size=4),
        above_mean=st.lists(INTEGERS, max_size=4),
        count=st.lists(st.integers(0, 900), max_size=4),
        quality=st.binary(max_size=4),
    ),
    st.builds(
        RawBlock,
        start_us=INSTANTS,
        reason=st.sampled_from(["anomaly", "request", "setting"]),
        ticks_us=st.lists(st.integers(0, 10**12), max_size=4),
        meters=st.lists(TEXTS, max_size=3),
        measurand_codes=st.lists(st.binary(max_size=4), max_size=3),
        values=st.lists(st.lists(st.none() | INTEGERS, max_size=4), max_size=3),
        quality=st.lists(st.binary(max_size=4), max_size=3),
    ),
    st.builds(
        ForecastRecord,
        issued_us=INSTANTS,
        target=st.sampled_from(["consumption_w", "production_w"]),
        rung=st.sampled_from(get_args(Rung)),
        bundle=st.none() | TEXTS,
        start_us=INSTANTS,
        step_us=st.integers(1, 10**10),
        p10=st.lists(INTEGERS, max_size=4),
        p50=st.lists(INTEGERS, max_size=4),
        p90=st.lists(INTEGERS, max_size=4),
        kind=st.sampled_from(["energy_forecast", "load_prediction"]),
        p95=st.none() | st.lists(INTEGERS, max_size=4),
        peak=st.none() | st.lists(INTEGERS, max_size=4),
    ),
    st.builds(
        AnomalyRecord,
        at_us=INSTANTS,
        kind=st.sampled_from(["range", "stuck", "sign", "spike", "residual"]),
        series=TEXTS,
        since_us=INSTANTS,
        observed=NUMBERS,
        expected_low=NUMBERS,
        expected_high=NUMBERS,
        sentence=TEXTS,
    ),
    st.builds(
        DecisionRecord,
        at_us=INSTANTS,
        verdict=st.sampled_from(["normal", "attention", "outage"]),
        sentence=TEXTS,
        rung=TEXTS,
        bundle=st.none() | TEXTS,
        energy_next_day_wh=st.none() | INTEGERS,
        peak_next_day_w=st.none() | INTEGERS,
        anomalies_active=st.integers(0, 100),
    ),
    st.builds(
        ModelReport,
        at_us=INSTANTS,
        event=st.sampled_from(["activated", "refused", "rolled_back", "host_killed"]),
        release=st.none() | st.integers(0, 10**6),
        bundle=st.none() | TEXTS,
        reason=TEXTS,
    ),
    st.builds(
        StatusRecord,
        at_us=INSTANTS,
        event=st.sampled_from(["started", "stopped", "clock_stepped", "bus_silent", "bus_back"]),
        software=TEXTS,
        detail=TEXTS,
    ),
)

# How long something lasts, and not when it was; everything else that ends in `_us` is an instant.
DURATIONS = {"period_us", "step_us", "ticks_us"}
A_CENTURY_US = 100 * 366 * 86_400 * 1_000_000
OFFSETS = st.integers(-A_CENTURY_US, A_CENTURY_US)


def block(series: int) -> ReadingsBlock:
    measurands = list(Measurand)
    rows = [
        Aggregate(
            Series(MeterId(f"meter-{n // 20:03}"), measurands[n % 20]),
            230.5 + n,
            229.0 + n,
            231.75 + n,
            60,
            Quality.GOOD,
        )
        for n in range(series)
    ]
    at = UtcUs(1_700_000_040_000_000)
    return pack_block(rows, start_us=at, period_us=60_000_000, first_us=at, last_us=UtcUs(at + 59_000_000))


def decodes_or_refuses(body: bytes) -> None:
    try:
        decode_record(body)
    except RecordError:
        return


@settings(deadline=None, max_examples=100)
@given(RECORDS)
def test_every_record_comes_back_as_it_was(record: Record):
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("series", [1, 40])
def test_every_truncation_of_a_record_is_refused(series: int):
    body = encode_record(block(series))
    for length in range(len(body)):
        with pytest.raises(RecordError):
            decode_record(body[:length])


def test_every_single_bit_flip_of_a_small_record_is_refused_or_gives_a_record():
    body = bytearray(encode_record(block(4)))
    for bit in range(len(body) * 8):
        body[bit // 8] ^= 1 << bit % 8
        decodes_or_refuses(bytes(body))
        body[bit // 8] ^= 1 << bit % 8


@settings(deadline=None, max_examples=100)
@given(RECORDS, st.data())
def test_damage_under_an_intact_compression_is_refused_or_gives_a_record(record: Record, data: st.DataObject):
    unpacked = bytearray(zlib.decompress(encode_record(record)))
    for _ in range(data.draw(st.integers(1, 4))):
        unpacked[data.draw(st.integers(0, len(unpacked) - 1))] = data.draw(st.integers(0, 255))
    decodes_or_refuses(zlib.compress(bytes(unpacked)))
    decodes_or_refuses(zlib.compress(bytes(unpacked[: data.draw(st.integers(0, len(unpacked)))])))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_more_than_an_error(body: bytes):
    decodes_or_refuses(body)
    decodes_or_refuses(zlib.compress(body))


def test_bytes_after_the_record_are_refused():
    with pytest.raises(RecordError, match="followed by other bytes"):
        decode_record(encode_record(block(1)) + b"x")


def test_a_decompression_bomb_is_refused_with_bounded_memory():
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    assert len(bomb) < RECORD_BYTES_MAX
    tracemalloc.start()
    with pytest.raises(RecordError):
        decode_record(bomb)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 * RECORD_UNPACKED_BYTES_MAX


def test_a_record_longer_than_the_limit_is_refused_unread():
    with pytest.raises(RecordError, match=f"more than {RECORD_BYTES_MAX}"):
        decode_record(bytes(RECORD_BYTES_MAX + 1))


def test_nesting_without_end_is_refused():
    head = msgspec.msgpack.encode(["status", 1, "started", "1.0", ""])
    one_field_more = bytes([head[0] + 1]) + head[1:]
    assert decode_record(zlib.compress(one_field_more + b"\xc0")), "a later version may add a field"
    with pytest.raises(RecordError):
        decode_record(zlib.compress(one_field_more + b"\x91" * 500_000 + b"\xc0"))


def test_a_claimed_length_of_billions_is_refused_with_bounded_memory():
    tracemalloc.start()
    for claim in (b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"):
        for field in range(4, 12):
            fields = [b"\x01"] * 4 + [b"\x90"] * 6 + [b"\xc4\x00"]
            unpacked = b"\x9c" + msgspec.msgpack.encode("readings") + b"".join(fields[:field]) + claim
            with pytest.raises(RecordError):
                decode_record(zlib.compress(unpacked))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < RECORD_UNPACKED_BYTES_MAX


def test_an_unknown_kind_of_record_is_refused_by_name():
    with pytest.raises(RecordError, match="telepathy"):
        decode_record(zlib.compress(msgspec.msgpack.encode(["telepathy", 1])))


def test_a_block_of_the_largest_site_is_far_below_the_limits():
    body = encode_record(block(2_000))
    assert len(body) * 4 < RECORD_BYTES_MAX
    assert len(zlib.decompress(body)) * 4 < RECORD_UNPACKED_BYTES_MAX


def test_a_text_beyond_its_limit_is_cut_so_that_the_record_can_be_read_at_home():
    report = ModelReport(UtcUs(1), "refused", 3, None, "x" * (TEXT_CHARACTERS_MAX + 1))
    stored = decode_record(encode_record(report))
    assert isinstance(stored, ModelReport)
    assert stored.reason == "x" * (TEXT_CHARACTERS_MAX - 1) + "…"
    assert stored.release == report.release


def test_damage_at_random_in_a_large_block_is_refused_or_gives_a_record():
    body = encode_record(block(200))
    chance = random.Random(1)
    for _ in range(200):
        damaged = bytearray(body)
        damaged[chance.randrange(len(body))] = chance.randrange(256)
        decodes_or_refuses(bytes(damaged))


@given(RECORDS, OFFSETS)
def test_stamping_anew_moves_every_instant_and_nothing_else(record: Record, offset_us: int):
    moved = restamp(record, offset_us)
    assert type(moved) is type(record)
    for name in record.__struct_fields__:
        before, after = getattr(record, name), getattr(moved, name)
        is_instant = name.endswith("_us") and name not in DURATIONS
        assert after == (before + offset_us if is_instant else before), name


@given(RECORDS, OFFSETS)
def test_stamping_anew_and_back_again_leaves_the_record_as_it_was(record: Record, offset_us: int):
    assert restamp(restamp(record, offset_us), -offset_us) == record


@given(RECORDS, OFFSETS)
def test_a_record_that_was_stamped_anew_can_be_stored_and_sent(record: Record, offset_us: int):
    moved = restamp(record, offset_us)
    assert decode_record(encode_record(moved)) == moved


def test_a_forecast_of_a_gateway_that_knew_one_kind_is_read_as_that():
    fields = ["forecast", 1, "consumption_w", "model", None, 1, 900, [1], [2], [3]]
    record = decode_record(zlib.compress(msgspec.msgpack.encode(fields)))
    assert isinstance(record, ForecastRecord)
    assert (record.kind, record.p90, record.p95, record.peak) == ("energy_forecast", [3], None, None)
