from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.ingest.columns import COUNT_MAX, SERIES_MAX, Columns, read_columns
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.readings import pack_block, unpack_block
from gateway.contract.records import Aggregate, ReadingsBlock, RecordError
from gateway.core.grid import good_means

START_US = UtcUs(1_704_067_200_000_000)
PERIOD_US, POLL_US = 60_000_000, 1_000_000
POLLS = PERIOD_US // POLL_US
POWER = Series(MeterId("grid"), Measurand.ACTIVE_POWER_W)

INTEGERS = st.integers(-(2**63), 2**64 - 1)
SMALL = st.integers(-1, 3) | INTEGERS
# few values for everything, so that many blocks are whole
BLOCKS = st.builds(
    ReadingsBlock,
    start_us=st.just(START_US),
    period_us=st.just(PERIOD_US),
    first_us=st.just(START_US),
    last_us=st.just(UtcUs(START_US + 59_000_000)),
    meters=st.lists(st.sampled_from("ab"), min_size=1, max_size=2),
    measurand_codes=st.lists(st.sampled_from([b"\1", b"\2", b"\1\2", b"\0"]), min_size=1, max_size=2),
    mean=st.lists(st.none() | SMALL, max_size=3),
    below_mean=st.lists(SMALL, max_size=3),
    above_mean=st.lists(SMALL, max_size=3),
    count=st.lists(st.integers(-1, 2) | st.integers(0, COUNT_MAX), max_size=3),
    quality=st.binary(max_size=3).map(lambda some: bytes(one % 4 for one in some)),
)


def refused(block: ReadingsBlock) -> bool:
    try:
        read_columns(block)
    except RecordError:
        return True
    return False


def rows(columns: Columns) -> list[tuple[object, ...]]:
    values = (columns.mean, columns.minimum, columns.maximum)
    floats = [[None if np.isnan(value) else value for value in column.tolist()] for column in values]
    return list(zip(columns.layout.names, *floats, columns.count.tolist(), columns.quality.tolist(), strict=True))


@settings(deadline=None, max_examples=300)
@given(BLOCKS)
def test_columns_hold_what_unpacking_gives_and_both_refuse_the_same_blocks(block: ReadingsBlock) -> None:
    try:
        expected = unpack_block(block)
    except RecordError:
        assert refused(block)
        return
    found = rows(read_columns(block))
    for row, one in zip(found, expected, strict=True):
        assert row[0] == (one.series.meter, one.series.measurand.value)
        assert row[1:4] == pytest.approx((one.mean, one.minimum, one.maximum), rel=1e-12)
        assert row[4:] == (one.count, one.quality)


def pack(aggregates: Sequence[Aggregate], first_us: int = START_US, last_us: int = START_US + 59_000_000):
    return pack_block(
        aggregates,
        start_us=START_US,
        period_us=PERIOD_US,
        first_us=UtcUs(first_us),
        last_us=UtcUs(last_us),
    )


def power(count: int, quality: Quality = Quality.GOOD, mean: float = 100.3) -> Aggregate:
    return Aggregate(POWER, mean, mean - 50.2, mean + 20.1, count, quality)


@given(st.integers(-(2**52), 2**52), st.integers(0, 2**40), st.integers(0, 2**40))  # sums below 2**53 are exact
def test_values_are_those_of_unpacking_to_the_last_bit(mean: int, below: int, above: int) -> None:
    block = ReadingsBlock(
        START_US, PERIOD_US, START_US, START_US, ["a"], [b"\1"], [mean], [below], [above], [1], b"\0"
    )
    (one,) = unpack_block(block)
    assert rows(read_columns(block))[0][1:4] == (one.mean, one.minimum, one.maximum)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (ReadingsBlock(START_US, 1, START_US, START_US, ["a\0"], [b"\1"], [1], [0], [0], [1], b"\0"), "NUL"),
        (
            ReadingsBlock(START_US, 1, START_US, START_US, ["a"], [b"\1"], [1], [0], [0], [2**31], b"\0"),
            "out of range",
        ),
    ],
)
def test_what_no_column_can_hold_is_refused(block: ReadingsBlock, problem: str) -> None:
    with pytest.raises(RecordError, match=problem):
        read_columns(block)


def test_more_series_than_any_site_has_are_refused_before_they_are_named() -> None:
    codes = bytes(range(1, 48))
    meters = [str(number) for number in range(SERIES_MAX // len(codes) + 1)]
    block = ReadingsBlock(START_US, 1, START_US, START_US, meters, [codes] * len(meters), [], [], [], [], b"")
    with pytest.raises(RecordError, match="more than 20000 series"):
        read_columns(block)


def test_equal_layouts_share_a_key_and_others_do_not() -> None:
    def key(*meters: str) -> bytes:
        names = [Series(MeterId(meter), Measurand.VOLTAGE_V) for meter in meters]
        return read_columns(pack([Aggregate(one, None, None, None, 0, Quality.MISSING) for one in names])).layout.key

    assert key("a", "b") == key("a", "b")
    assert len({key("a", "b"), key("ab"), key("a"), key("b"), key()}) == 5


class TestTicks:
    def test_the_last_tick_of_a_whole_period_tells_how_far_ticks_lie_apart(self) -> None:
        assert read_columns(pack([power(60)])).tick_us == POLL_US
        assert read_columns(pack([power(58, Quality.SUSPECT)])).tick_us == POLL_US

    def test_a_gateway_that_began_in_mid_period_shows_it_as_well(self) -> None:
        assert read_columns(pack([power(3)], first_us=START_US + 57_000_000)).tick_us == POLL_US

    def test_of_a_gateway_that_stopped_in_mid_period_the_series_read_most_tells(self) -> None:
        assert read_columns(pack([power(10)], last_us=START_US + 9_000_000)).tick_us == POLL_US

    def test_one_tick_alone_is_taken_for_the_rest_of_its_period(self) -> None:
        assert read_columns(pack([power(1)], last_us=START_US)).tick_us == PERIOD_US

    @given(st.integers(0, COUNT_MAX), st.integers(0, 59), st.integers(0, 59))
    def test_whatever_a_block_says_ticks_have_a_length(self, count: int, first_s: int, more_s: int) -> None:
        first_us = START_US + first_s * POLL_US
        last_us = min(first_us + more_s * POLL_US, START_US + PERIOD_US - 1)
        aggregate = power(count) if count else Aggregate(POWER, None, None, None, 0, Quality.MISSING)
        assert 0 < read_columns(pack([aggregate], first_us, last_us)).tick_us <= PERIOD_US


@given(st.integers(0, POLLS), st.sampled_from([Quality.GOOD, Quality.SUSPECT]))
def test_what_is_built_on_is_what_the_gateway_builds_on(count: int, quality: Quality) -> None:
    aggregate = power(count, quality) if count else Aggregate(POWER, None, None, None, 0, Quality.MISSING)
    expected = ~np.isnan(good_means([POWER], [aggregate], POLLS))
    assert read_columns(pack([aggregate])).building.tolist() == expected.tolist()
