"""Energy counters: the same after a restart, never falling, and the integral of power."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.energy import EnergyCounters
from firmware_bridge.simulator.house import House

START_US = UtcUs(1_767_225_600_000_000)
H_US, DAY_US = 3_600_000_000, 86_400_000_000


def grid_w(at_us):
    power = House(2).power_w(at_us)
    return power.load_w - power.solar_w


def test_a_constant_load_is_counted_exactly():
    counters = EnergyCounters(START_US, lambda at_us: np.full(at_us.shape, -600.0))
    assert counters.at_wh(START_US) == (0, 0)
    assert counters.at_wh(START_US - 1) == (0, 0)
    assert counters.at_wh(START_US + H_US // 2) == pytest.approx((0, 300))
    assert counters.at_wh(START_US + 40 * DAY_US + 30_000_000) == pytest.approx((0, 40 * 24 * 600 + 5))


@settings(max_examples=15)
@given(st.lists(st.integers(0, 20 * DAY_US), min_size=2, max_size=8))
def test_counters_do_not_fall_nor_depend_on_what_was_asked_before(instants):
    asked = EnergyCounters(START_US, grid_w)
    seen = {at: asked.at_wh(START_US + at) for at in instants}
    for at in instants[:2]:
        assert EnergyCounters(START_US, grid_w).at_wh(START_US + at) == seen[at]
    for before, after in pairwise(sorted(seen)):
        assert seen[after][0] >= seen[before][0]
        assert seen[after][1] >= seen[before][1]


def test_a_day_of_a_home_is_the_integral_of_its_power():
    drawn, fed = EnergyCounters(START_US, grid_w).at_wh(START_US + DAY_US)
    exact = grid_w(START_US + np.arange(86_400, dtype=np.int64) * 1_000_000).sum() / 3_600
    assert drawn - fed == pytest.approx(exact, rel=0.02)
    assert drawn > 1_000
    assert fed > 1_000
