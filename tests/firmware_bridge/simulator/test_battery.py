"""A battery that never holds more than it can and never gives what it has not."""

from itertools import pairwise

import numpy as np
import pytest

from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.battery import Battery
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.noise import F64, I64

START_S = 1_767_571_200
START_US = UtcUs(START_S * US_PER_S)
HOUR_S = 3600


def home(at_us: I64) -> F64:
    power = House(3).power_w(at_us)
    return power.solar_w - power.load_w


def steady(watts: float) -> Battery:
    return Battery(8_000.0, START_US, lambda at_us: np.full(at_us.shape, watts))


def test_surplus_fills_it_with_a_loss_until_it_is_full():
    one = steady(1_000.0)
    assert one.state(START_S).state_of_charge == 0.5
    assert one.state(START_S + HOUR_S).state_of_charge == pytest.approx(0.5 + 0.95 / 8)
    assert one.state(START_S + 12 * HOUR_S).state_of_charge == pytest.approx(1.0)
    assert one.state(START_S + 12 * HOUR_S).power_w == pytest.approx(0.0)


def test_the_home_empties_it_to_its_reserve_at_its_own_pace():
    one = steady(-20_000.0)
    assert one.state(START_S).power_w == -4_000.0
    assert one.state(START_S + 1800).state_of_charge == pytest.approx(0.25)
    at_last = one.state(START_S + 12 * HOUR_S)
    assert at_last.state_of_charge == pytest.approx(0.1)
    assert at_last.discharged_wh == pytest.approx(3_200.0)


def test_before_the_start_it_rests():
    one = steady(500.0)
    assert one.state(START_S - 1).power_w == 0
    assert one.power_w(np.array([START_US - 1, START_US])).tolist() == [0.0, 500.0]


def test_a_week_at_a_home_stays_within_its_limits_and_is_used():
    one = Battery(10_000.0, START_US, home)
    states = [one.state(START_S + minute * 60) for minute in range(0, 7 * 1440, 7)]
    charges = [state.state_of_charge for state in states]
    assert 0.0999 < min(charges) < 0.2
    assert 0.5 < max(charges) < 1.0001
    assert all(after.discharged_wh >= before.discharged_wh for before, after in pairwise(states))
    assert {np.sign(state.power_w) for state in states} == {-1.0, 0.0, 1.0}
    assert all(50 <= state.volts <= 54 for state in states)


def test_whoever_asks_in_whichever_order_gets_the_same():
    seconds = [START_S + second for second in (3_000_000, 60, 1_000_000, 90_000)]
    together = Battery(10_000.0, START_US, home)
    together.power_w(START_US + np.arange(20 * 1440, dtype=np.int64) * 60 * US_PER_S)
    alone = [Battery(10_000.0, START_US, home).state(second) for second in seconds]
    assert [together.state(second) for second in seconds] == alone
    at_us = np.array(seconds) * US_PER_S
    assert together.power_w(at_us).tolist() == [state.power_w for state in alone]
