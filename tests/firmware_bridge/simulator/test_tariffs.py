"""Two tariffs: one counter moves at a time, and together they are the whole."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.tariffs import TwoTariffs

START_S = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp())
HOUR_S = 3600
BERLIN = "Europe/Berlin"


def steady(at_s: int) -> tuple[float, float]:
    """A hundred watts drawn and ten fed back, since the start, after 1 MWh and 100 kWh."""
    since_h = max(at_s - START_S, 0) / HOUR_S
    return 1_000_000.0 + 100.0 * since_h, 100_000.0 + 10.0 * since_h


def tariffs(zone: str = "UTC") -> TwoTariffs:
    return TwoTariffs(steady, START_S, zone)


def test_the_low_one_counts_from_eleven_at_night_until_seven():
    one = tariffs()
    hours = [one.is_low(START_S + hour * HOUR_S) for hour in range(24)]
    assert hours == [True] * 7 + [False] * 16 + [True]
    low = [one.low_wh(START_S + hour * HOUR_S)[0] - 400_000 for hour in (0, 7, 23, 24, 31, 47)]
    assert low == pytest.approx([0, 700, 700, 800, 1500, 1500])


def test_it_follows_the_wall_clock_through_the_night_of_winter_time():
    one = tariffs(BERLIN)
    night_s = int(datetime(2026, 10, 24, 21, tzinfo=UTC).timestamp())  # 23:00, and nine hours until seven
    fed = [one.low_wh(night_s + hour * HOUR_S)[1] for hour in (0, 9, 10)]
    assert fed[1] - fed[0] == pytest.approx(90)
    assert fed[2] == fed[1]


@given(st.integers(-200_000, 20 * 86_400), st.integers(1, 90_000))
def test_exactly_one_counter_moves_and_neither_falls(second, later):
    one = tariffs(BERLIN)
    before_s, after_s = START_S + second, START_S + second + later
    moved = after_s > START_S
    low = [one.low_wh(at_s)[0] for at_s in (before_s, after_s)]
    normal = [one.total_wh(at_s)[0] - part for at_s, part in zip((before_s, after_s), low, strict=True)]
    grown = (low[1] - low[0], normal[1] - normal[0])
    assert min(grown) >= -1e-6
    assert (max(grown) > 0) == moved
    if later < HOUR_S and one.is_low(before_s) == one.is_low(after_s):
        assert min(grown) == pytest.approx(0, abs=1e-6)


def test_whoever_asks_back_gets_what_was_told_before():
    one, seconds = tariffs(), [START_S + 9 * 86_400, START_S + 3_600, START_S - 86_400]
    assert [one.low_wh(second) for second in seconds] == [tariffs().low_wh(second) for second in seconds]
