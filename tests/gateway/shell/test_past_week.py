"""The week in the window, from a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from firmware_bridge.config import MeterConfig
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.config import RecordConfig
from gateway.contract.inputs import HISTORY_STEPS, STEP_US
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, ReadingsBlock
from gateway.core.site import Site
from gateway.shell.past_week import PastWeek
from gateway.shell.store import Store

SERIES = [Series(MeterId("main"), Measurand.ACTIVE_POWER_W)]
METERS = [MeterConfig("main", "line", 1, "eastron_sdm630", "grid")]
RECORD = RecordConfig(poll_period_s=60, recording_period_s=900)
# Of a quarter of an hour; the store is a few of them old.
START_US = UtcUs(1_767_571_200_000_000)


def aggregates(step: int) -> list[Aggregate]:
    power_w = 100.0 + step
    return [Aggregate(SERIES[0], power_w, power_w, power_w, 15, Quality.GOOD)]


def at(step: int) -> UtcUs:
    return UtcUs(START_US + step * STEP_US)


def block(step: int) -> ReadingsBlock:
    last_us = UtcUs(at(step + 1) - 60_000_000)
    return pack_block(aggregates(step), start_us=at(step), period_us=STEP_US, first_us=at(step), last_us=last_us)


def known(week: PastWeek) -> dict[int, float]:
    """Power by step, as far as the window knows it."""
    power_w, is_known = week.window.history()
    assert week.window.end_us is not None
    first = (week.window.end_us - START_US) // STEP_US - HISTORY_STEPS
    return {first + int(index): float(power_w[index]) for index in np.flatnonzero(is_known)}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path, START_US)
    yield store
    await store.close()


def a_week(store: Store) -> PastWeek:
    return PastWeek(store, Site(SERIES, METERS, 230.0), SERIES, RECORD)


async def test_what_was_lived_through_is_read_back(store: Store):
    live, again = a_week(store), a_week(store)
    for step in range(10):
        live.live(at(step), aggregates(step))
        await store.append([block(step)], at(step + 1))
    await again.begin(UtcUs(at(10) + 1))
    assert not await again.read_on(100)
    assert known(again) == known(live) == {step: 100.0 + step for step in range(10)}


async def test_it_is_read_in_parts_while_life_goes_on_and_nothing_counts_twice(store: Store):
    week = a_week(store)
    for step in range(10):
        await store.append([block(step)], at(step + 1))
    await week.begin(at(10))
    step = 10
    while await week.read_on(3):
        week.live(at(step), aggregates(step))
        await store.append([block(step)], at(step + 1))
        step += 1
    assert step > 12
    assert known(week) == {number: 100.0 + number for number in range(step)}


async def test_what_a_clock_that_ran_ahead_wrote_is_not_known_yet(store: Store):
    for step in (0, 1, 5_000, 2):
        await store.append([block(step)], at(step + 1))
    week = a_week(store)
    await week.begin(at(3))
    while await week.read_on(1):
        pass
    assert known(week) == {step: 100.0 + step for step in (0, 1, 2)}


async def test_a_block_that_cannot_be_read_is_passed_over(store: Store):
    await store.append([block(0)], at(1))
    await store.append([msgspec.structs.replace(block(1), quality=b"")], at(2))
    await store.append([block(2)], at(3))
    week = a_week(store)
    await week.begin(at(3))
    assert not await week.read_on(10)
    assert sorted(known(week)) == [0, 2]


async def test_it_can_begin_anew_before_it_has_read_all(store: Store):
    for step in range(10):
        await store.append([block(step)], at(step + 1))
    week = a_week(store)
    for _ in range(2):
        await week.begin(at(10))
        assert await week.read_on(2)
    await week.close()
    assert not await week.read_on(2)
    assert sorted(known(week)) == [8, 9]
