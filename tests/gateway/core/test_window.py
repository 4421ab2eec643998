import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.readings import unpack_block
from gateway.core.grid import GridRow, RecordingPeriod
from gateway.core.window import Window

# any history will do: a day of quarters
STEP_US, HISTORY_STEPS = 900_000_000, 96
START_US = UtcUs(1_700_000_100 * 1_000_000)  # a full quarter of an hour
PERIOD_US = 300_000_000
POLLS = 5  # of a minute each, in one recording period
STEP_POLLS = 15
POWER_W = Series(MeterId("grid"), Measurand.ACTIVE_POWER_W)

Period = tuple[int, float | None, int]


def window() -> Window:
    return Window(step_us=STEP_US, steps=HISTORY_STEPS, polls_per_step=STEP_POLLS)


def periods() -> st.SearchStrategy[list[Period]]:
    """Recording periods anywhere in three times the window, mostly close together, in the order of time."""
    near = st.integers(0, 20).map(lambda n: n * PERIOD_US)
    far = st.integers(0, 3 * HISTORY_STEPS).map(lambda n: n * STEP_US)
    start = st.builds(lambda a, b: START_US + a + b, st.sampled_from([0, 0, 0, 7 * STEP_US]) | far, near)
    return st.lists(
        st.tuples(start, st.none() | st.floats(-1e5, 1e5), st.integers(0, POLLS)), min_size=1, max_size=30
    ).map(lambda fed: sorted(fed, key=lambda period: period[0]))


@settings(deadline=None, max_examples=50)
@given(periods())
def test_the_window_equals_an_oracle(fed: list[Period]):
    live = window()
    for start_us, mean_w, polls in fed:
        live.add(UtcUs(start_us), mean_w, polls)
    end_us = max(start_us // STEP_US * STEP_US + STEP_US for start_us, *_ in fed)
    assert live.end_us == end_us
    power, known = live.history()
    by_index: dict[int, list[tuple[float, int]]] = {}
    for start_us, mean_w, polls in fed:
        index = HISTORY_STEPS - 1 - (end_us - STEP_US - start_us // STEP_US * STEP_US) // STEP_US
        if mean_w is not None and index >= 0:
            by_index.setdefault(index, []).append((mean_w, polls))
    for index in range(HISTORY_STEPS):
        parts = by_index.get(index, [])
        weight = sum(polls for _, polls in parts)
        assert known[index] == (weight >= STEP_POLLS / 2)
        mean = sum(value * polls for value, polls in parts) / weight if known[index] else 0.0
        assert power[index] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("minutes", [5, 15])
def test_a_step_is_as_wide_as_it_is_told_to_be(minutes: int):
    one = Window(step_us=minutes * 60_000_000, steps=10, polls_per_step=minutes)
    for period in range(6):
        one.add(UtcUs(START_US + period * PERIOD_US), float(period), POLLS)
    assert one.end_us == START_US + 6 * PERIOD_US
    expected = [1.0, 4.0] if minutes == 15 else [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [power_w for power_w in one.recent_w(10) if power_w is not None] == expected


def test_a_step_is_known_from_half_of_its_polls_on():
    for polls, is_known in ((7, False), (8, True)):
        one = window()
        one.add(START_US, 100.0, polls)
        assert one.recent_w(1) == [100.0 if is_known else None]


def test_the_parts_of_a_period_cut_by_a_restart_add_up_by_their_polls():
    one = window()
    one.add(START_US, 100.0, 10)
    one.add(START_US, 400.0, 5)
    assert one.recent_w(1) == [200.0]


def test_a_period_of_the_step_before_is_taken_where_it_belongs():
    one = window()
    one.add(START_US, 5.0, STEP_POLLS)
    one.add(UtcUs(START_US - STEP_US), 9.0, STEP_POLLS)
    assert one.recent_w(2) == [9.0, 5.0]


@pytest.mark.parametrize("back", [2, 5, HISTORY_STEPS - 1])
def test_a_clock_set_back_keeps_what_came_before_and_drops_what_lies_ahead(back: int):
    one = window()
    for i in range(HISTORY_STEPS):
        one.add(UtcUs(START_US + i * STEP_US), 1.0 + i, STEP_POLLS)
    one.add(UtcUs(START_US + (HISTORY_STEPS - 1 - back) * STEP_US), 99.0, 0)
    assert one.end_us == START_US + (HISTORY_STEPS - back) * STEP_US
    assert one.recent_w(1) == [float(HISTORY_STEPS - back)]
    assert one.history()[1].sum() == HISTORY_STEPS - back


@pytest.mark.parametrize("ahead_us", [10 * HISTORY_STEPS * STEP_US, 4 * 365 * 96 * STEP_US])
def test_a_clock_that_was_years_ahead_poisons_nothing(ahead_us: int):
    one = window()
    one.add(UtcUs(START_US + ahead_us), 7777.0, STEP_POLLS)
    one.add(START_US, 5.0, STEP_POLLS)
    assert one.recent_w(2) == [None, 5.0]
    assert one.end_us == START_US + STEP_US


@pytest.mark.parametrize("steps", [HISTORY_STEPS, HISTORY_STEPS + 1, 10 * HISTORY_STEPS])
def test_an_advance_by_the_whole_ring_or_more_leaves_nothing_known(steps: int):
    one = window()
    for i in range(HISTORY_STEPS):
        one.add(UtcUs(START_US + i * STEP_US), 1.0 + i, STEP_POLLS)
    assert one.history()[1].all()
    assert one.end_us is not None
    one.advance(UtcUs(one.end_us + steps * STEP_US))
    assert not one.history()[1].any()
    one.add(one.end_us, 7.0, STEP_POLLS)
    assert one.recent_w(2) == [None, 7.0]


def test_an_advance_moves_what_is_known_and_not_back_by_one_step():
    one = window()
    assert one.end_us is None
    one.add(START_US, 3.0, STEP_POLLS)
    one.advance(UtcUs(START_US + 3 * STEP_US))
    assert one.recent_w(4) == [None, 3.0, None, None]
    one.advance(UtcUs(START_US + 2 * STEP_US))
    assert one.recent_w(4) == [None, 3.0, None, None]
    assert one.end_us == START_US + 3 * STEP_US


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.none() | st.floats(-2e4, 2e4), st.sampled_from([1, 1, 1, 1, 2, 40])), min_size=1, max_size=60
    ),
    st.integers(0, 60),
)
def test_after_a_restart_from_blocks_the_window_is_what_it_was(
    polls: list[tuple[float | None, int]], killed_after: int
):
    live, period = window(), RecordingPeriod([POWER_W], period_us=PERIOD_US, poll_us=60_000_000)
    tick_us, blocks = START_US, []
    for index, (power_w, minutes) in enumerate(polls):
        row = GridRow(
            tick_us,
            np.array([np.nan if power_w is None else power_w]),
            np.array([Quality.MISSING if power_w is None else Quality.GOOD], dtype=np.uint8),
        )
        for closed in period.add(row) + (period.close() if index == killed_after else []):
            blocks.append(closed.block)
            live.add(closed.block.start_us, closed.aggregates[0].mean, closed.aggregates[0].count)
        tick_us = UtcUs(tick_us + minutes * 60_000_000)
    restarted = window()
    for block in blocks:
        (aggregate,) = unpack_block(block)
        restarted.add(block.start_us, aggregate.mean, aggregate.count)
    assert restarted.end_us == live.end_us
    assert np.array_equal(restarted.history()[1], live.history()[1])
    half_quantum_w = POWER_W.measurand.facts.resolution / 2
    assert np.allclose(restarted.history()[0], live.history()[0], rtol=0, atol=half_quantum_w * 1.001)


@settings(deadline=None, max_examples=50)
@given(periods(), st.randoms(use_true_random=False))
def test_the_past_can_be_recalled_in_any_order(fed: list[Period], chance: random.Random):
    live, recalled = window(), window()
    for period in fed:
        live.add(UtcUs(period[0]), *period[1:])
    assert live.end_us is not None
    recalled.advance(live.end_us)
    chance.shuffle(fed)
    for period in fed:
        recalled.recall(UtcUs(period[0]), *period[1:])
    assert recalled.end_us == live.end_us
    assert np.array_equal(recalled.history()[1], live.history()[1])
    assert np.allclose(recalled.history()[0], live.history()[0])


def test_what_lies_ahead_of_the_window_is_not_recalled():
    one = window()
    one.recall(START_US, 100.0, STEP_POLLS)
    assert one.end_us is None
    one.advance(UtcUs(START_US + STEP_US))
    one.recall(UtcUs(START_US + STEP_US), 100.0, STEP_POLLS)
    assert not one.history()[1].any()
