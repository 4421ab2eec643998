import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.readings import pack_block, unpack_block
from gateway.contract.records import Aggregate, ReadingsBlock, RecordError, decode_record, encode_record

START_US = UtcUs(1_700_000_040_000_000)
PERIOD_US = 60_000_000
# Half a quantum, and what float arithmetic adds to it.
HALF_QUANTUM = 0.5 * (1 + 1e-6)


def pack(aggregates: list[Aggregate]) -> ReadingsBlock:
    return pack_block(
        aggregates,
        start_us=START_US,
        period_us=PERIOD_US,
        first_us=START_US,
        last_us=UtcUs(START_US + 59_000_000),
    )


def through_bytes(aggregates: list[Aggregate]) -> list[Aggregate]:
    block = decode_record(encode_record(pack(aggregates)))
    assert isinstance(block, ReadingsBlock)
    return unpack_block(block)


@st.composite
def some_aggregates(draw: st.DrawFn, span: float = 1.0) -> list[Aggregate]:
    """Of several meters, in any order; values within `span` times the plausible range."""
    series = draw(
        st.lists(
            st.builds(Series, st.sampled_from(["a", "b-2", "grid"]).map(MeterId), st.sampled_from(Measurand)),
            unique=True,
            max_size=12,
        )
    )
    return [draw(_aggregate(one, span)) for one in series]


def _aggregate(series: Series, span: float) -> st.SearchStrategy[Aggregate]:
    facts = series.measurand.facts
    values = st.floats(facts.plausible_low * span, facts.plausible_high * span)

    def build(three: list[float], count: int, quality: Quality) -> Aggregate:
        low, mean, high = sorted(three)
        return Aggregate(series, mean, low, high, count, quality)

    known = st.builds(
        build,
        st.lists(values, min_size=3, max_size=3),
        st.integers(1, 900),
        st.sampled_from([Quality.GOOD, Quality.SUSPECT]),
    )
    return known | st.just(Aggregate(series, None, None, None, 0, Quality.MISSING))


def assert_within_half_a_quantum(sent: Aggregate, got: Aggregate) -> None:
    assert (got.series, got.count, got.quality) == (sent.series, sent.count, sent.quality)
    pairs = ((sent.mean, got.mean), (sent.minimum, got.minimum), (sent.maximum, got.maximum))
    for true, unpacked in pairs:
        if true is None or unpacked is None:
            assert true is unpacked is None
        else:
            quantum = sent.series.measurand.facts.resolution
            assert abs(unpacked - true) <= HALF_QUANTUM * quantum + 4 * math.ulp(true)


@settings(deadline=None, max_examples=40)
@given(some_aggregates())
def test_what_is_unpacked_is_within_half_a_quantum_of_the_truth(aggregates: list[Aggregate]):
    unpacked = through_bytes(aggregates)
    assert {one.series for one in unpacked} == {one.series for one in aggregates}
    sent = {one.series: one for one in aggregates}
    for got in unpacked:
        assert_within_half_a_quantum(sent[got.series], got)
        if got.minimum is not None and got.mean is not None and got.maximum is not None:
            assert got.minimum <= got.mean <= got.maximum


@settings(deadline=None, max_examples=40)
@given(some_aggregates())
def test_packing_what_was_unpacked_changes_nothing_more(aggregates: list[Aggregate]):
    once = through_bytes(aggregates)
    assert through_bytes(once) == once


def test_series_come_grouped_by_meter_in_the_order_they_had():
    names = [("solar", "voltage_v"), ("grid", "frequency_hz"), ("solar", "active_power_w"), ("grid", "current_a")]
    aggregates = [
        Aggregate(Series(MeterId(meter), Measurand(measurand)), 1.0, 1.0, 1.0, 1, Quality.GOOD)
        for meter, measurand in names
    ]
    assert [str(one.series) for one in through_bytes(aggregates)] == [
        "grid.frequency_hz",
        "grid.current_a",
        "solar.voltage_v",
        "solar.active_power_w",
    ]


def test_a_block_in_which_every_series_is_missing_comes_back_as_missing():
    missing = [Aggregate(Series(MeterId("grid"), one), None, None, None, 0, Quality.MISSING) for one in Measurand]
    assert through_bytes(missing) == missing


def test_a_block_without_series_comes_back_empty():
    assert through_bytes([]) == []


@settings(deadline=None, max_examples=40)
@given(some_aggregates(span=1e6))
def test_values_a_million_times_beyond_plausible_are_kept(aggregates: list[Aggregate]):
    sent = {one.series: one for one in aggregates}
    for got in through_bytes(aggregates):
        assert_within_half_a_quantum(sent[got.series], got)


@pytest.mark.parametrize("huge", [1e19, 3.4e38, 1.7e308, math.inf])
@pytest.mark.parametrize("measurand", [Measurand.POWER_FACTOR, Measurand.ENERGY_IMPORT_WH])
def test_a_value_beyond_any_integer_is_kept_as_the_largest_there_is(measurand: Measurand, huge: float):
    series = Series(MeterId("grid"), measurand)
    (got,) = through_bytes([Aggregate(series, 0.0, -huge, huge, 3, Quality.SUSPECT)])
    assert got.mean == 0.0
    assert got.minimum is not None
    assert got.minimum < -1e11
    assert got.maximum is not None
    assert got.maximum > 1e11
    (got,) = through_bytes([Aggregate(series, huge, -huge, huge, 3, Quality.SUSPECT)])
    assert got.mean == got.maximum


def block(**changes: object) -> ReadingsBlock:
    series = [Series(MeterId("grid"), one) for one in (Measurand.VOLTAGE_V, Measurand.CURRENT_A)]
    good = pack([Aggregate(one, 2.0, 1.0, 3.0, 60, Quality.GOOD) for one in series])
    return msgspec.structs.replace(good, **changes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mean": [1]}, "differ in length"),
        ({"below_mean": [1, 2, 3]}, "differ in length"),
        ({"above_mean": []}, "differ in length"),
        ({"count": [60]}, "differ in length"),
        ({"quality": b"\0"}, "differ in length"),
        ({"meters": []}, "other meters"),
        ({"meters": ["a", "b"]}, "other meters"),
        ({"measurand_codes": [bytes([9, 255])]}, "unknown measurand code 255"),
        ({"measurand_codes": [bytes([9, 0])]}, "unknown measurand code 0"),
        ({"measurand_codes": [bytes([9])]}, "differ in length"),
        ({"quality": b"\0\3"}, "unknown quality 3"),
        ({"mean": [None, 1]}, "values without polls or polls without values"),
        ({"count": [0, 60]}, "values without polls or polls without values"),
        ({"count": [-1, 60]}, "values without polls or polls without values"),
        ({"below_mean": [-1, 0]}, "minimum above its mean"),
        ({"above_mean": [0, -1]}, "maximum below its mean"),
        ({"measurand_codes": [bytes([9, 9])]}, "twice"),
        ({"meters": ["a", "a"], "measurand_codes": [bytes([9]), bytes([9])]}, "twice"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(changes: dict[str, object], problem: str):
    with pytest.raises(RecordError, match=problem):
        unpack_block(block(**changes))


INTEGERS = st.integers(-(2**63), 2**64 - 1)
BLOCKS = st.builds(
    ReadingsBlock,
    start_us=INTEGERS,
    period_us=INTEGERS,
    first_us=INTEGERS,
    last_us=INTEGERS,
    meters=st.lists(st.text(max_size=3), max_size=2),
    measurand_codes=st.lists(st.binary(max_size=2), max_size=2),
    mean=st.lists(st.none() | INTEGERS, max_size=3),
    below_mean=st.lists(INTEGERS, max_size=3),
    above_mean=st.lists(INTEGERS, max_size=3),
    count=st.lists(INTEGERS, max_size=3),
    quality=st.binary(max_size=3),
)


@settings(deadline=None, max_examples=40)
@given(BLOCKS)
def test_any_block_that_decodes_unpacks_or_is_refused(block: ReadingsBlock):
    try:
        unpack_block(block)
    except RecordError:
        return
