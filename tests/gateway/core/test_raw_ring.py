import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from gateway.contract.raw import RAW_VALUES_MAX, unpack_raw
from gateway.contract.records import AnomalyRecord, RawBlock
from gateway.core.grid import GridRow
from gateway.core.raw_ring import ANOMALIES_PER_HOUR_MAX, ROWS_MAX, VALUES_MAX, WINDOWS_MAX, Keep, RawRing

START_US = UtcUs(1_772_366_400_000_000)
SERIES = [Series(MeterId("main"), Measurand.ACTIVE_POWER_W), Series(MeterId("main"), Measurand.VOLTAGE_L1_V)]
PERIOD_US = 60 * US_PER_S
HOUR_S = 3600


def at(second: float) -> UtcUs:
    return UtcUs(START_US + round(second * US_PER_S))


def row(second: int) -> GridRow:
    return GridRow(at(second), np.array([float(second), 230.0]), np.zeros(2, dtype=np.uint8))


def onset(second: int, since: int | None = None) -> AnomalyRecord:
    since_us = at(second if since is None else since)
    return AnomalyRecord(at(second), "spike", str(SERIES[0]), since_us, 1.0, None, None, "It jumped.")


def a_ring(keep: Keep, *, series: list[Series] = SERIES) -> RawRing:
    return RawRing(series, keep=keep, poll_us=US_PER_S, period_us=PERIOD_US)


def live(ring: RawRing, seconds: range, onsets: dict[int, AnomalyRecord] | None = None) -> list[RawBlock]:
    """What the ring gives while these seconds pass."""
    told = onsets or {}
    return [block for second in seconds for block in ring.add(row(second), [told[second]] if second in told else [])]


def seconds_in(blocks: list[RawBlock]) -> list[int]:
    return [(tick - START_US) // US_PER_S for block in blocks for tick in unpack_raw(block).ticks]


def test_nothing_is_kept_unless_somebody_wants_it():
    ring = a_ring("none")
    assert live(ring, range(1000), {500: onset(500)}) == []
    assert ring.flush() == []


def test_a_minute_before_an_anomaly_and_a_minute_after_are_kept_in_one_block():
    (block,) = live(a_ring("anomalies"), range(1000), {500: onset(500)})
    assert seconds_in([block]) == list(range(440, 560))
    assert block.reason == "anomaly"


def test_it_is_kept_as_soon_as_its_window_is_over():
    ring = a_ring("anomalies")
    assert live(ring, range(559), {500: onset(500)}) == []
    assert len(ring.add(row(559), [])) == 1


def test_the_window_begins_before_the_trouble_and_not_before_the_word_of_it():
    (block,) = live(a_ring("anomalies"), range(1000), {500: onset(500, since=430)})
    assert seconds_in([block]) == list(range(370, 560))


def test_windows_that_meet_become_one_and_no_row_is_kept_twice():
    (block,) = live(a_ring("anomalies"), range(1000), {500: onset(500), 550: onset(550), 605: onset(605)})
    assert seconds_in([block]) == list(range(440, 665))
    one, other = live(a_ring("anomalies"), range(1000), {500: onset(500), 600: onset(600, since=510)})
    assert seconds_in([one, other]) == list(range(440, 660))


def test_what_is_told_late_reaches_back_as_far_as_a_rule_of_rows_can():
    (block,) = live(a_ring("anomalies"), range(2000), {1500: onset(1500, since=3)})
    assert seconds_in([block]) == list(range(1140, 1560))


def test_a_meter_that_flutters_does_not_wear_the_card_out():
    onsets = {second: onset(second) for second in range(300, 2 * HOUR_S, 300)}
    kept = seconds_in(live(a_ring("anomalies"), range(2 * HOUR_S + 300), onsets))
    assert 0 < len(kept) <= 2 * ANOMALIES_PER_HOUR_MAX * 120
    assert len([second for second in kept if second < HOUR_S]) == ANOMALIES_PER_HOUR_MAX * 120
    assert max(kept) > HOUR_S + 300, "an hour later they are kept again"


def test_everything_is_kept_period_by_period():
    blocks = live(a_ring("all"), range(30, 300))
    assert [len(block.ticks_us) for block in blocks] == [30, 60, 60, 60, 60]
    assert seconds_in(blocks) == list(range(30, 300))
    assert {block.reason for block in blocks} == {"setting"}


def test_an_orderly_stop_keeps_what_is_open():
    ring = a_ring("all")
    blocks = live(ring, range(100)) + ring.flush()
    assert seconds_in(blocks) == list(range(100))
    assert ring.flush() == []


@pytest.mark.parametrize("keep", ["none", "anomalies"])
def test_what_somebody_asks_for_is_kept_past_and_future(keep: Keep):
    ring = a_ring(keep)
    live(ring, range(500))
    assert ring.request(at(100), at(700))
    blocks = live(ring, range(500, 1000))
    assert seconds_in(blocks) == list(range(100, 700))
    assert {block.reason for block in blocks} == {"request"}


def test_what_memory_no_longer_has_cannot_be_kept():
    ring = a_ring("none")
    live(ring, range(2000))
    ring.request(at(0), at(1500))
    assert seconds_in(live(ring, range(2000, 2100))) == list(range(2001 - ROWS_MAX, 1500))


def test_a_long_request_is_kept_block_by_block_before_memory_forgets():
    ring = a_ring("none", series=[Series(MeterId(f"m{n}"), Measurand.ACTIVE_POWER_W) for n in range(200)])
    ring.request(at(0), at(1500))
    wide = [
        block
        for second in range(1510)
        for block in ring.add(GridRow(at(second), np.full(200, 1.0), np.zeros(200, dtype=np.uint8)), [])
    ]
    assert seconds_in(wide) == list(range(1500))
    assert {len(block.ticks_us) for block in wide} == {RAW_VALUES_MAX // 200}


def test_too_many_requests_are_refused():
    ring = a_ring("none")
    wanted = [ring.request(at(1000 * n), at(1000 * n + 1)) for n in range(1, WINDOWS_MAX + 2)]
    assert wanted == [True] * WINDOWS_MAX + [False]
    assert ring.request(at(1000), at(1001)), "one that is waited for already"


@pytest.mark.parametrize("series_count", [1, 200, 1_000, 2_000, 10_000, VALUES_MAX])
def test_memory_is_bounded_whatever_the_site(series_count: int):
    ring = a_ring("none", series=SERIES[:1] * series_count)
    assert 1 <= ring.rows_max <= ROWS_MAX
    assert ring.rows_max * series_count <= VALUES_MAX


def test_memory_forgets_the_oldest_rows():
    ring = a_ring("none")
    live(ring, range(ROWS_MAX + 10))
    ring.request(at(0), at(2 * ROWS_MAX))
    assert seconds_in(ring.flush()) == list(range(10, ROWS_MAX + 10))


def test_a_clock_that_was_wrong_moves_memory_and_what_is_wanted_of_it():
    ring, by_s = a_ring("anomalies"), 40 * 365 * 86_400
    assert live(ring, range(500), {480: onset(480)}) == []
    ring.shift(by_s * US_PER_S)
    (block,) = live(ring, range(by_s + 500, by_s + 600))
    assert seconds_in([block]) == list(range(by_s + 420, by_s + 540))


def test_a_clock_that_is_set_back_ends_the_block():
    ring = a_ring("all")
    blocks = [*live(ring, range(130, 140)), *live(ring, range(135, 180)), *ring.flush()]
    assert [seconds_in([block]) for block in blocks] == [list(range(130, 140)), list(range(135, 180))]


def test_quality_and_missing_values_are_kept_as_they_are():
    ring = a_ring("all")
    ring.add(
        GridRow(at(0), np.array([np.nan, 1.0]), np.array([Quality.MISSING, Quality.SUSPECT], dtype=np.uint8)), []
    )
    found = unpack_raw(ring.flush()[0])
    assert found.quality[:, 0].tolist() == [Quality.MISSING, Quality.SUSPECT]
    assert np.isnan(found.values[0, 0])


@given(
    st.sampled_from(["none", "anomalies", "all"]),
    st.lists(
        st.one_of(
            st.tuples(st.just("row"), st.integers(1, 90)),
            st.tuples(st.just("onset"), st.integers(0, 200)),
            st.tuples(st.just("ask"), st.integers(-300, 300)),
            st.tuples(st.just("shift"), st.integers(-(10**4), 10**4)),
            st.tuples(st.just("back"), st.integers(1, 500)),
        ),
        max_size=60,
    ),
)
def test_whatever_happens_no_reading_is_kept_twice_and_every_block_can_be_read(
    keep: Keep, events: list[tuple[str, int]]
):
    ring, second, number, blocks = a_ring(keep), 0, itertools.count(), []
    for what, how_much in events:
        if what == "row":
            second += how_much
        elif what == "back":
            second -= how_much
        elif what == "ask":
            ring.request(at(second + how_much), at(second + 2 * abs(how_much)))
            continue
        elif what == "shift":
            ring.shift(how_much * US_PER_S)
            second += how_much + 1
        onsets = [onset(second, second - how_much)] if what == "onset" else []
        second += what == "onset"
        values = np.array([float(next(number)), 230.0])
        blocks += ring.add(GridRow(at(second), values, np.zeros(2, dtype=np.uint8)), onsets)
    blocks += ring.flush()
    given_numbers = [value for block in blocks for value in unpack_raw(block).values[0].tolist()]
    assert len(given_numbers) == len(set(given_numbers))
    if keep == "all":
        assert sorted(given_numbers) == list(range(next(number)))
