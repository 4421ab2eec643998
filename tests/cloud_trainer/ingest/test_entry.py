import tracemalloc
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.ingest.entry import (
    BATCH_AGGREGATES_MAX,
    BATCH_UNPACKED_BYTES_MAX,
    INTEGER_MAX,
    UNDECODABLE,
    TooMuchError,
    read_entries,
)
from gateway.contract.batches import Batch, StoredRecord
from gateway.contract.records import RECORD_UNPACKED_BYTES_MAX, RecordError, encode_record
from tests.sim.cloud_records import GENERATION, START_US, batch, one_of_each, power


def problem_of(record: object) -> str:
    (entry,) = read_entries(batch([record]))  # type: ignore[list-item]
    assert entry.kind == (UNDECODABLE if entry.problem else entry.kind)
    return entry.problem


def test_every_kind_of_record_is_read() -> None:
    kinds = [entry.kind for entry in read_entries(batch(one_of_each()))]
    assert kinds == ["readings", "forecast", "anomaly", "decision", "model_report", "status"]


def test_one_record_that_cannot_be_read_does_not_harm_the_others() -> None:
    good = power(START_US, [1.0])
    entries = read_entries(batch([good, b"\x00nonsense", good]))
    assert [entry.kind for entry in entries] == ["readings", UNDECODABLE, "readings"]
    assert entries[1].body == b"\x00nonsense"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"start_us": 1}, "start_us = 1 is out of range"),
        ({"first_us": 2**63}, "first_us"),
        ({"period_us": 0}, "period_us = 0 is out of range"),
        ({"last_us": START_US + 10**12}, "lie outside its period"),
        ({"first_us": START_US + 60_000_000, "last_us": START_US}, "lie outside its period"),
        ({"count": [2**31]}, "a count is out of range"),
        ({"meters": ["gr\0id"]}, "NUL"),
        ({"quality": b"\x09"}, "unknown quality"),
        ({"mean": []}, "differ in length"),
    ],
)
def test_a_block_that_no_column_can_hold_is_refused(change: dict[str, object], complaint: str) -> None:
    assert complaint in problem_of(msgspec.structs.replace(power(START_US, [1.0]), **change))


def test_a_series_that_stands_twice_in_a_block_is_refused() -> None:
    twice = power(START_US, [1.0], [2.0])
    assert "twice" in problem_of(msgspec.structs.replace(twice, meters=["grid", "grid"]))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (1, {"p10": [1]}),
        (1, {"p10": [], "p50": [], "p90": []}),
        (1, {"p90": [1, 2**63]}),
        (1, {"p95": [1]}),
        (1, {"p95": [1, 2**63]}),
        (1, {"p95": None}),  # and a peak of four quantiles
        (1, {"peak": [1, 2, 3]}),
        (1, {"peak": [1, 2, 3, -(2**63)]}),
        (1, {"step_us": -1}),
        (2, {"sentence": "a\0b"}),
        (2, {"since_us": 0}),
        (3, {"energy_next_day_wh": 2**64 - 1}),
        (4, {"at_us": -1}),
    ],
)
def test_a_record_that_no_column_can_hold_is_refused(kind: int, change: dict[str, object]) -> None:
    assert problem_of(msgspec.structs.replace(one_of_each()[kind], **change))


def test_a_stamp_that_is_no_instant_is_told_and_not_stored() -> None:
    (entry,) = read_entries(batch([power(START_US, [1.0])], recorded_us=[5]))
    assert (entry.kind, entry.recorded_us) == (UNDECODABLE, None)
    assert "recorded_us = 5" in entry.problem


def test_a_sequence_beyond_counting_is_refused_with_its_batch() -> None:
    stored = StoredRecord(INTEGER_MAX + 1, START_US, b"")
    with pytest.raises(RecordError, match="larger than"):
        read_entries(Batch("gw-1", GENERATION, 0, [stored]))


@pytest.mark.parametrize(
    "bomb",
    [zlib.compress(bytes(RECORD_UNPACKED_BYTES_MAX)), zlib.compress(bytes(64 * RECORD_UNPACKED_BYTES_MAX))],
    ids=["just within a record's limit", "beyond it"],
)
def test_records_that_unpack_to_gigabytes_are_refused_after_a_few_of_them(bomb: bytes) -> None:
    many = batch([bomb] * 2_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooMuchError, match="unpack to more than"):
            read_entries(many)
        assert tracemalloc.get_traced_memory()[1] < 2 * BATCH_UNPACKED_BYTES_MAX
    finally:
        tracemalloc.stop()
    assert len(read_entries(batch([bomb] * 16))) == 16


def test_more_aggregates_than_the_database_takes_at_once_are_refused() -> None:
    block = power(START_US, [1.0])
    wide = msgspec.structs.replace(
        block,
        meters=[f"m{number}" for number in range(20_000)],
        measurand_codes=block.measurand_codes * 20_000,
        quality=block.quality * 20_000,
        **{name: getattr(block, name) * 20_000 for name in ("mean", "below_mean", "above_mean", "count")},
    )
    most = BATCH_AGGREGATES_MAX // 20_000
    assert all(not entry.problem for entry in read_entries(batch([wide] * most)))
    with pytest.raises(TooMuchError):
        read_entries(batch([wide] * (most + 1)))


@settings(max_examples=150, deadline=None)
@given(kind=st.integers(0, 5), position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_no_damaged_record_raises(kind: int, position: int, value: int) -> None:
    body = bytearray(encode_record(one_of_each()[kind]))
    body[position % len(body)] = value
    (entry,) = read_entries(batch([bytes(body)]))
    assert (entry.record is None) == (entry.kind == UNDECODABLE)
