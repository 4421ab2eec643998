"""The gateway's clock over a machine's clock that lies, on simulated time."""

import time

import pytest

from firmware_bridge.clock import ScaledClock
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.core.timekeeping import ClockSet
from gateway.shell.timekeeper import Timekeeper
from tests.sim.clock import START_US, LyingClock, SimClock

HOUR_US = 3600 * US_PER_S


@pytest.fixture
def true() -> SimClock:
    return SimClock()


def test_what_is_set_within_a_tick_counts_from_the_next(true: SimClock):
    machine = LyingClock(true)
    keeper = Timekeeper(machine)
    machine.wrong_by_us = -HOUR_US
    assert keeper.utc_us() == START_US
    assert keeper.follow() == ClockSet(-HOUR_US, was_trusted=True)
    assert keeper.utc_us() == START_US - HOUR_US == machine.utc_us()
    assert keeper.utc_us() == keeper.steady_us() + keeper.ahead_us()


def test_a_machine_without_time_is_told_by_the_cloud(true: SimClock):
    machine = LyingClock(true, wrong_by_us=-START_US, is_trusted=False)
    keeper = Timekeeper(machine)
    true.advance(3600)
    keeper.trust(true.utc_us())
    assert not keeper.is_trusted
    assert keeper.follow() == ClockSet(START_US, was_trusted=False)
    assert keeper.is_trusted
    assert keeper.utc_us() == true.utc_us()


def test_the_clouds_word_outranks_the_newest_instant_on_disk(true: SimClock):
    keeper = Timekeeper(LyingClock(true))
    keeper.not_before(UtcUs(START_US + HOUR_US))
    assert keeper.follow() is None
    assert not keeper.is_trusted
    keeper.trust(true.utc_us())
    assert keeper.follow() == ClockSet(0, was_trusted=False)


async def test_a_sleeper_wakes_when_it_is_time_although_the_clock_was_set(true: SimClock):
    machine = LyingClock(true)
    keeper = Timekeeper(machine)
    machine.wrong_by_us = HOUR_US
    await keeper.sleep_until(UtcUs(START_US + 10 * US_PER_S))
    assert true.utc_us() == START_US + 10 * US_PER_S, "followed by nobody meanwhile"
    keeper.follow()
    await keeper.sleep_until(UtcUs(START_US + HOUR_US))
    assert true.utc_us() == START_US + 10 * US_PER_S
    await keeper.sleep_for(5.0)
    assert true.utc_us() == START_US + 15 * US_PER_S


def test_durations_are_the_machines(true: SimClock):
    keeper = Timekeeper(LyingClock(true, wrong_by_us=HOUR_US))
    true.advance(7)
    assert keeper.monotonic_s() == true.monotonic_s()
    assert keeper.rate == true.rate


def test_simulated_time_is_held_where_the_gateway_means_it(tmp_path, monkeypatch):
    now_ns = 10**9
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    scaled = ScaledClock.create(tmp_path / "clock", start_us=START_US, rate=1e6)
    keeper = Timekeeper(LyingClock(scaled, wrong_by_us=HOUR_US))
    keeper.hold_before(UtcUs(START_US + 2 * HOUR_US))
    now_ns += 10**9  # ten days
    assert keeper.utc_us() == START_US + 2 * HOUR_US - 1
    assert scaled.utc_us() == START_US + HOUR_US - 1
