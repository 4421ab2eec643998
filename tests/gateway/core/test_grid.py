import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Reading, Series, UtcUs, floor_us
from gateway.contract.readings import unpack_block
from gateway.contract.records import Aggregate
from gateway.core.grid import VALUE_MAX, ClosedPeriod, GridRow, RecordingPeriod, align, good_means, next_tick

S = 1_000_000
START_US = UtcUs(1_700_000_100 * S)  # a full quarter of an hour
GRID_W = Series(MeterId("grid"), Measurand.ACTIVE_POWER_W)
GRID_V = Series(MeterId("grid"), Measurand.VOLTAGE_V)
SERIES = [GRID_W, GRID_V]

Cell = tuple[float | None, Quality]
Poll = tuple[int, tuple[Cell, Cell]]


def reading(series: Series, cell: Cell, at_us: int) -> Reading:
    return Reading(series.meter, series.measurand, UtcUs(at_us), *cell)


def row(tick_us: int, *cells: Cell) -> GridRow:
    return align(UtcUs(tick_us), [reading(*pair, tick_us) for pair in zip(SERIES, cells, strict=True)], S)


def good(tick_us: int, value: float) -> GridRow:
    return row(tick_us, (value, Quality.GOOD), (230.0, Quality.GOOD))


def cells() -> st.SearchStrategy[Cell]:
    values = st.floats(-1e6, 1e6)
    return st.one_of(
        st.tuples(values, st.just(Quality.GOOD)),
        st.tuples(values, st.sampled_from([Quality.GOOD, Quality.SUSPECT])),
        st.just((None, Quality.MISSING)),
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int, list[Poll | None]]:
    """Poll and period in seconds, and rows with gaps in time; None is a restart in between."""
    poll_s, period_s = draw(st.sampled_from([(1, 3), (1, 1), (20, 60), (60, 60), (60, 300), (15, 900)]))
    tick_us = START_US + draw(st.integers(0, 10)) * poll_s * S
    events: list[Poll | None] = []
    for _ in range(draw(st.integers(0, 25))):
        if draw(st.integers(0, 9)) == 0:
            events.append(None)
        events.append((tick_us, (draw(cells()), draw(cells()))))
        tick_us += poll_s * S * draw(st.sampled_from([1, 1, 1, 1, 2, 3, 5, 100]))
    return poll_s, period_s, events


def oracle(polls: list[Poll], column: int, polls_max: int) -> Aggregate:
    """One series over one period, in plain Python."""
    taken = [cells[column] for _, cells in polls]
    good = [value for value, quality in taken if value is not None and quality == Quality.GOOD]
    values = good or [value for value, _ in taken if value is not None]
    if not values:
        return Aggregate(SERIES[column], None, None, None, 0, Quality.MISSING)
    is_whole = len(taken) == polls_max and all(quality == Quality.GOOD for _, quality in taken)
    mean = math.fsum(values) / len(values)
    quality = Quality.GOOD if is_whole else Quality.SUSPECT
    return Aggregate(SERIES[column], mean, min(values), max(values), len(values), quality)


def expected(poll_s: int, period_s: int, events: list[Poll | None]) -> list[tuple[int, int, int, list[Aggregate]]]:
    """Start, first and last tick and aggregates of each period: rows grouped by period, cut at restarts."""
    groups: list[list[Poll]] = []
    is_new = True
    for event in events:
        if event is None:
            is_new = True
            continue
        if is_new or groups[-1][0][0] // (period_s * S) != event[0] // (period_s * S):
            groups.append([])
        groups[-1].append(event)
        is_new = False
    return [
        (
            group[0][0] // (period_s * S) * period_s * S,
            group[0][0],
            group[-1][0],
            [oracle(group, column, period_s // poll_s) for column in range(len(SERIES))],
        )
        for group in groups
    ]


def recorded(poll_s: int, period_s: int, events: list[Poll | None]) -> list[ClosedPeriod]:
    """What the periods give; a restart closes what is open in an orderly way."""
    closed: list[ClosedPeriod] = []
    period = RecordingPeriod(SERIES, period_us=period_s * S, poll_us=poll_s * S)
    for event in events:
        if event is None:
            closed += period.close()
            period = RecordingPeriod(SERIES, period_us=period_s * S, poll_us=poll_s * S)
        else:
            closed += period.add(row(event[0], *event[1]))
    return closed + period.close()


def assert_alike(got: Iterable[Aggregate], wanted: Iterable[Aggregate]) -> None:
    for one, other in zip(got, wanted, strict=True):
        assert (one.series, one.minimum, one.maximum, one.count, one.quality) == (
            other.series,
            other.minimum,
            other.maximum,
            other.count,
            other.quality,
        )
        assert one.mean == pytest.approx(other.mean, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(histories())
def test_periods_equal_an_oracle_and_no_poll_is_counted_twice_or_lost(
    history: tuple[int, int, list[Poll | None]],
):
    _, period_s, events = history
    closed, wanted = recorded(*history), expected(*history)
    assert [(one.block.start_us, one.block.first_us, one.block.last_us) for one in closed] == [
        one[:3] for one in wanted
    ]
    for one, (*_, aggregates) in zip(closed, wanted, strict=True):
        assert_alike(one.aggregates, aggregates)
        assert one.block.period_us == period_s * S
        assert one.block.start_us % (period_s * S) == 0
        assert one.block.start_us <= one.block.first_us <= one.block.last_us < one.block.start_us + period_s * S
        unpack_block(one.block)
    for column in range(len(SERIES)):
        good = sum(event is not None and event[1][column][1] is Quality.GOOD for event in events)
        polled = sum(event is not None and event[1][column][0] is not None for event in events)
        assert good <= sum(one.aggregates[column].count for one in closed) <= polled


def test_a_period_is_half_open_and_closes_with_its_last_tick():
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=20 * S)
    assert period.add(good(START_US, 1)) == []
    assert period.add(good(START_US + 20 * S, 2)) == []
    (closed,) = period.add(good(START_US + 40 * S, 6))
    assert closed.aggregates[0] == Aggregate(GRID_W, 3.0, 1.0, 6.0, 3, Quality.GOOD)
    assert period.close() == []
    assert period.add(good(START_US + 60 * S, 100)) == [], "the end belongs to the next period"
    (closed,) = period.close()
    assert (closed.block.start_us, closed.aggregates[0].maximum) == (START_US + 60 * S, 100)


def test_a_jump_into_the_last_tick_of_a_later_period_closes_both():
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=20 * S)
    period.add(good(START_US, 1))
    first, second = period.add(good(START_US + 640 * S, 2))
    assert [one.block.start_us for one in (first, second)] == [START_US, START_US + 600 * S]
    assert [one.aggregates[0].quality for one in (first, second)] == [Quality.SUSPECT, Quality.SUSPECT]


def test_a_gateway_started_in_mid_period_records_the_rest_of_it_as_suspect():
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=20 * S)
    assert period.add(good(START_US + 20 * S, 4)) == []
    (closed,) = period.add(good(START_US + 40 * S, 8))
    assert closed.block.first_us == START_US + 20 * S
    assert closed.aggregates[0] == Aggregate(GRID_W, 6.0, 4.0, 8.0, 2, Quality.SUSPECT)


def test_a_clock_set_back_ends_the_period():
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=20 * S)
    period.add(good(START_US, 1))
    (closed,) = period.add(good(START_US - 60 * S, 2))
    assert closed.block.start_us == START_US
    (closed,) = period.close()
    assert closed.block.start_us == START_US - 60 * S


@settings(deadline=None, max_examples=100)
@given(st.floats(-1e6, 1e6), st.integers(1, 60))
def test_the_mean_of_equal_values_lies_between_minimum_and_maximum(value: float, polls: int):
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=S)
    closed = [one for i in range(polls) for one in period.add(good(START_US + i * S, value))] + period.close()
    assert [one.aggregates[0].mean for one in closed] == [value]


def test_a_row_holds_a_missing_value_as_nan_and_nothing_else():
    made = row(START_US, (None, Quality.MISSING), (3.0, Quality.SUSPECT))
    assert made.tick_us == START_US
    assert np.isnan(made.values).tolist() == [True, False]
    assert made.quality.tolist() == [Quality.MISSING, Quality.SUSPECT]


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf])
def test_a_register_that_holds_no_number_is_missing(nothing: float):
    made = row(START_US, (nothing, Quality.SUSPECT), (nothing, Quality.GOOD))
    assert np.isnan(made.values).all()
    assert made.quality.tolist() == [Quality.MISSING, Quality.MISSING]


@pytest.mark.parametrize("huge", [3.4e38, -1.7e308])
def test_a_huge_value_is_kept_as_the_largest_that_can_be_summed_up(huge: float):
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=20 * S)
    limit = math.copysign(VALUE_MAX, huge)
    for i in range(3):
        closed = period.add(row(START_US + i * 20 * S, (huge, Quality.SUSPECT), (230.0, Quality.GOOD)))
    (power, _) = unpack_block(closed[0].block)
    assert power == Aggregate(GRID_W, limit, limit, limit, 3, Quality.SUSPECT)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 900), st.integers(0, 10**6), st.integers(-(10**9), 10**10))
def test_the_next_tick_is_on_the_grid_and_its_interval_is_not_over(poll_s: int, ticks: int, late_us: int):
    poll_us = poll_s * S
    tick_us = UtcUs(ticks * poll_us)
    now_us = UtcUs(tick_us + late_us)
    following = next_tick(tick_us, now_us, poll_us)
    if late_us < -poll_us:
        assert now_us < following <= now_us + poll_us, "a clock that was set back is followed at once"
        return
    assert following > tick_us
    assert following % poll_us == 0
    assert now_us < following + poll_us, "the interval of the tick has not gone by"
    if now_us < tick_us + 2 * poll_us:
        assert following == tick_us + poll_us, "nothing is skipped before it must be"


@pytest.mark.parametrize(
    ("poll_s", "late_us", "quality"),
    [
        (60, 0, Quality.GOOD),
        (60, 59 * S, Quality.GOOD),
        (60, 60 * S, Quality.MISSING),
        (1, S, Quality.MISSING),
        # a slow register may be a minute old, and is repeated until it is read again
        (60, -60 * S, Quality.GOOD),
        (60, -60 * S - 1, Quality.MISSING),
        (1, -60 * S, Quality.GOOD),
        (1, -60 * S - 1, Quality.MISSING),
        (900, -450 * S, Quality.GOOD),
        (900, -450 * S - 1, Quality.MISSING),
    ],
)
def test_a_reading_that_came_when_its_tick_was_over_or_long_before_it_is_missing(
    poll_s: int, late_us: int, quality: Quality
):
    late = [reading(one, (1.0, Quality.GOOD), START_US + late_us) for one in SERIES]
    aligned = align(START_US, late, poll_s * S)
    assert aligned.quality.tolist() == [quality] * 2
    assert np.isnan(aligned.values).tolist() == [quality is Quality.MISSING] * 2


def period_of(*cells: Cell) -> Aggregate:
    """The power over one period of three polls; the voltage is good."""
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=20 * S)
    closed = [
        one
        for place, cell in enumerate(cells)
        for one in period.add(row(START_US + place * 20 * S, cell, (230.0, Quality.GOOD)))
    ]
    return closed[0].aggregates[0]


GOOD_5, GOOD_7, SUSPECT_900 = (5.0, Quality.GOOD), (7.0, Quality.GOOD), (900.0, Quality.SUSPECT)
NOTHING = (None, Quality.MISSING)


@pytest.mark.parametrize(
    ("cells", "aggregate", "mean_to_build_on"),
    [
        ((GOOD_5, GOOD_7, GOOD_7), (19 / 3, 5.0, 7.0, 3, Quality.GOOD), 19 / 3),
        ((GOOD_5, SUSPECT_900, GOOD_7), (6.0, 5.0, 7.0, 2, Quality.SUSPECT), 6.0),
        ((GOOD_5, SUSPECT_900, NOTHING), (5.0, 5.0, 5.0, 1, Quality.SUSPECT), 5.0),
        ((SUSPECT_900, SUSPECT_900, SUSPECT_900), (900.0, 900.0, 900.0, 3, Quality.SUSPECT), None),
        ((NOTHING, NOTHING, NOTHING), (None, None, None, 0, Quality.MISSING), None),
    ],
)
def test_suspect_values_count_only_where_no_good_one_is(
    cells: tuple[Cell, ...], aggregate: tuple[float | None, ...], mean_to_build_on: float | None
):
    made = period_of(*cells)
    assert (made.mean, made.minimum, made.maximum, made.count, made.quality) == pytest.approx(aggregate)
    (mean,) = good_means([GRID_W], [made], polls=3)
    assert mean == pytest.approx(mean_to_build_on) if mean_to_build_on is not None else math.isnan(mean)


def test_means_come_in_the_order_asked_for_and_what_is_not_there_is_nan():
    other = Series(MeterId("roof"), Measurand.ACTIVE_POWER_W)
    aggregates = [
        Aggregate(one, value, value, value, 3, Quality.GOOD) for one, value in zip(SERIES, (1.0, 2.0), strict=True)
    ]
    assert good_means([GRID_V, other, GRID_W], aggregates, polls=3)[[0, 2]].tolist() == [2.0, 1.0]
    assert np.isnan(good_means([other], aggregates, polls=3)).all()


def test_a_row_gives_its_good_values_to_build_on():
    made = row(START_US, SUSPECT_900, GOOD_5)
    assert np.isnan(made.good_values).tolist() == [True, False]
    assert made.values.tolist() == [900.0, 5.0], "the others are still there to be looked at"


@given(st.lists(st.integers(1, 90), max_size=30), st.integers(-(10**6), 10**6), st.integers(0, 30))
def test_a_clock_that_was_wrong_moves_what_is_open_and_loses_no_poll(pauses_s: list[int], by_s: int, set_after: int):
    period, minute_us = RecordingPeriod(SERIES, period_us=60 * S, poll_us=S), 60 * S
    ticks = [START_US + sum(pauses_s[: number + 1]) * S for number in range(len(pauses_s))]
    before = [closed for tick in ticks[:set_after] for closed in period.add(good(tick, 1.0))]
    after = period.shift(by_s * S)
    after += [closed for tick in ticks[set_after:] for closed in period.add(good(tick + by_s * S, 1.0))]
    after += period.close()
    recorded = [one.count for closed in before for one in closed.aggregates if one.series == GRID_W]
    moved = ticks[sum(recorded) :]
    for block in (closed.block for closed in after):
        polls = [tick for tick in moved if block.first_us <= tick + by_s * S <= block.last_us]
        assert block.start_us == floor_us(block.first_us, minute_us) == floor_us(block.last_us, minute_us)
        assert unpack_block(block)[0].count == len(polls)
        del moved[: len(polls)]
    assert moved == []


def test_ticks_rise_within_a_block_although_the_clock_was_set_back():
    period = RecordingPeriod(SERIES, period_us=60 * S, poll_us=S)
    blocks = [
        closed.block
        for second in (30, 31, 32, 10, 11, 11)
        for closed in period.add(good(START_US + second * S, float(second)))
    ]
    blocks += [closed.block for closed in period.close()]
    ticks = [((block.first_us - START_US) // S, (block.last_us - START_US) // S) for block in blocks]
    assert ticks == [(30, 32), (10, 11), (11, 11)]
