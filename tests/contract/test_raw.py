import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.raw import RAW_VALUES_MAX, RawReadings, pack_raw, unpack_raw
from gateway.contract.records import (
    RECORD_BYTES_MAX,
    RawBlock,
    RecordError,
    decode_record,
    encode_record,
)

NOON_US = UtcUs(1_772_366_400_000_000)
SECOND_US = 1_000_000
POWER = Series(MeterId("main"), Measurand.ACTIVE_POWER_W)
VOLTAGE = Series(MeterId("main"), Measurand.VOLTAGE_L1_V)
ROOF = Series(MeterId("roof"), Measurand.ACTIVE_POWER_W)
SERIES = [POWER, ROOF, VOLTAGE]  # those of one meter need not come side by side
GOOD, SUSPECT, MISSING = (np.uint8(quality) for quality in Quality)


@st.composite
def readings(draw: st.DrawFn) -> RawReadings:
    length = draw(st.integers(1, 8))
    steps = draw(st.lists(st.integers(1, 10**10), min_size=length, max_size=length))
    # a quarter is a whole number of quanta of both measurands, give or take
    value = st.none() | st.integers(-(10**9), 10**9).map(lambda quanta: quanta / 10)
    row = st.lists(value, min_size=length, max_size=length)
    columns = [draw(row) for _ in SERIES]
    values = np.array([[np.nan if one is None else one for one in column] for column in columns])
    doubt = np.array(draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    quality = np.where(np.isnan(values), MISSING, np.where(doubt, SUSPECT, GOOD)).astype(np.uint8)
    return RawReadings([UtcUs(NOON_US + int(at)) for at in np.cumsum(steps)], SERIES, values, quality)


def packed(given_readings: RawReadings) -> list[RawBlock]:
    whole = given_readings
    return pack_raw(whole.ticks, whole.series, whole.values, whole.quality, "anomaly")


def many(series_count: int, ticks: int, values: np.ndarray | None = None) -> list[RawBlock]:
    measurands = list(Measurand)
    series = [Series(MeterId(f"m{n // 20:03}"), measurands[n % 20]) for n in range(series_count)]
    values = np.full((series_count, ticks), 230.0) if values is None else values
    quality = np.zeros(values.shape, dtype=np.uint8)
    return pack_raw([UtcUs(NOON_US + n * SECOND_US) for n in range(ticks)], series, values, quality, "setting")


@given(readings())
def test_every_reading_comes_back_as_it_was(whole: RawReadings):
    (block,) = packed(whole)
    again = unpack_raw(block)
    order = [again.series.index(one) for one in whole.series]
    assert again.ticks == whole.ticks
    assert np.allclose(again.values[order], whole.values, rtol=0, atol=1e-6, equal_nan=True)
    assert np.array_equal(again.quality[order], whole.quality)


@given(readings())
def test_what_comes_back_packs_to_the_same_block(whole: RawReadings):
    (block,) = packed(whole)
    again = unpack_raw(block)
    assert pack_raw(again.ticks, again.series, again.values, again.quality, block.reason) == [block]


def test_a_value_that_stays_is_kept_as_nothing_and_a_gap_is_bridged():
    values = np.array([[5.0, 5.0, np.nan, 5.5]])
    (block,) = pack_raw(
        [UtcUs(NOON_US + n) for n in range(4)], [POWER], values, np.zeros((1, 4), dtype=np.uint8), "request"
    )
    assert block.values == [[50, 0, None, 5]]
    assert block.quality == [bytes([0, 0, 2, 0])]


@pytest.mark.parametrize(("series", "ticks"), [(200, 301), (2_000, 31), (1, RAW_VALUES_MAX + 1)])
def test_no_block_has_more_values_than_it_may_and_none_is_left_out(series: int, ticks: int):
    blocks = many(series, ticks)
    assert len(blocks) >= 2
    assert all(len(block.ticks_us) * series <= RAW_VALUES_MAX for block in blocks)
    assert [tick for block in blocks for tick in unpack_raw(block).ticks] == [
        NOON_US + n * SECOND_US for n in range(ticks)
    ]


def test_values_that_are_all_noise_still_give_records_within_their_limits():
    chance = np.random.default_rng(1)
    blocks = many(200, 300, chance.uniform(-1e12, 1e12, (200, 300)))
    bodies = [encode_record(block) for block in blocks]
    assert max(len(body) for body in bodies) <= RECORD_BYTES_MAX
    assert [decode_record(body) for body in bodies] == blocks
    assert sum(len(block.ticks_us) for block in blocks) == 300


@pytest.mark.parametrize("value", [1e300, -1e300, 1e13, -1e13])
def test_what_a_damaged_register_shows_fits_the_record(value: float):
    values = np.array([[value, -value, value]])
    ticks = [UtcUs(NOON_US + n) for n in range(3)]
    (block,) = pack_raw(ticks, [POWER], values, np.ones((1, 3), dtype=np.uint8), "anomaly")
    again = unpack_raw(decode_record(encode_record(block)))  # type: ignore[arg-type]
    assert np.sign(again.values).tolist() == np.sign(values).tolist()
    assert np.abs(again.values).min() > 1e12


def broken(**fields: object) -> RawBlock:
    (block,) = packed(
        RawReadings(
            [NOON_US, UtcUs(NOON_US + 1)], SERIES, np.array([[1.0, 2.0]] * 3), np.zeros((3, 2), dtype=np.uint8)
        )
    )
    return msgspec.structs.replace(block, **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"meters": ["main"]}, "other meters"),
        ({"meters": ["main", "main"], "measurand_codes": [b"\x01\x0a", b"\x01"]}, "twice"),
        ({"measurand_codes": [b"\x01\xff", b"\x01"]}, "unknown measurand"),
        ({"values": [[1, 2]] * 2}, "other series"),
        ({"quality": [b"\0\0"] * 4}, "other series"),
        ({"values": [[1, 2], [1, 2], [1]]}, "differ in length"),
        ({"quality": [b"\0\0", b"\0\0", b"\0"]}, "differ in length"),
        ({"ticks_us": [0, 0]}, "do not rise"),
        ({"ticks_us": [-1, 0]}, "do not rise"),
        ({"quality": [b"\0\3"] * 3}, "unknown quality"),
        ({"quality": [b"\0\2"] * 3}, "missing"),
        ({"values": [[None, 1]] * 3}, "missing"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(fields: dict[str, object], words: str):
    with pytest.raises(RecordError, match=words):
        unpack_raw(broken(**fields))


def test_a_block_of_too_many_values_is_refused_unread():
    with pytest.raises(RecordError, match="more than"):
        unpack_raw(broken(ticks_us=list(range(RAW_VALUES_MAX))))


@settings(max_examples=200)
@given(
    st.builds(
        RawBlock,
        start_us=st.integers(-(2**63), 2**63 - 1).map(UtcUs),
        reason=st.just("request"),
        ticks_us=st.lists(st.integers(-3, 2**63 - 1), max_size=3),
        meters=st.lists(st.sampled_from(["a", "b"]), max_size=2),
        measurand_codes=st.lists(st.binary(max_size=2), max_size=2),
        values=st.lists(st.lists(st.none() | st.integers(-(2**63), 2**64 - 1), max_size=3), max_size=3),
        quality=st.lists(st.binary(max_size=3), max_size=3),
    )
)
def test_whatever_a_block_says_is_read_or_refused(block: RawBlock):
    try:
        found = unpack_raw(block)
    except RecordError:
        return
    assert np.array_equal(np.isnan(found.values), found.quality == MISSING)
