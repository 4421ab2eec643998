"""The weeks in the windows, from a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from firmware_bridge.config import MeterConfig
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.config import RecordConfig
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD, LOAD_SLOW
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, ReadingsBlock
from gateway.core.site import Site
from gateway.core.window import Window
from gateway.shell import past_weeks
from gateway.shell.past_weeks import PastWeeks, load_spec_of
from gateway.shell.store import Store

SERIES = [Series(MeterId("main"), Measurand.ACTIVE_POWER_W)]
METERS = [MeterConfig("main", "line", 1, "eastron_sdm630", "grid")]
SOLAR = [*SERIES, Series(MeterId("roof"), Measurand.ACTIVE_POWER_W)]
WITH_SOLAR = [*METERS, MeterConfig("roof", "line", 2, "eastron_sdm630", "solar")]
RECORD = RecordConfig(poll_period_s=60, recording_period_s=900)
FINE = RecordConfig(poll_period_s=60, recording_period_s=300)
STEP_US = ENERGY.step_us
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


def known(window: Window) -> dict[int, float]:
    """Power by step, as far as the window knows it."""
    power_w, is_known = window.history()
    assert window.end_us is not None
    first = (window.end_us - START_US) // window.step_us - power_w.size
    return {first + int(index): float(power_w[index]) for index in np.flatnonzero(is_known)}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path, START_US)
    yield store
    await store.close()


def weeks_of(store: Store) -> PastWeeks:
    return PastWeeks(store, Site(SERIES, METERS, 230.0), SERIES, RECORD)


async def test_what_was_lived_through_is_read_back(store: Store):
    live, again = weeks_of(store), weeks_of(store)
    for step in range(10):
        live.live(at(step), aggregates(step))
        await store.append([block(step)], at(step + 1))
    await again.begin(UtcUs(at(10) + 1))
    assert not await again.read_on(100)
    assert known(again.consumption) == known(live.consumption) == {step: 100.0 + step for step in range(10)}


async def test_it_is_read_in_parts_while_life_goes_on_and_nothing_counts_twice(store: Store):
    weeks = weeks_of(store)
    for step in range(10):
        await store.append([block(step)], at(step + 1))
    await weeks.begin(at(10))
    step = 10
    while await weeks.read_on(3):
        weeks.live(at(step), aggregates(step))
        await store.append([block(step)], at(step + 1))
        step += 1
    assert step > 12
    assert known(weeks.consumption) == {number: 100.0 + number for number in range(step)}


async def test_what_a_clock_that_ran_ahead_wrote_is_not_known_yet(store: Store):
    for step in (0, 1, 5_000, 2):
        await store.append([block(step)], at(step + 1))
    weeks = weeks_of(store)
    await weeks.begin(at(3))
    while await weeks.read_on(1):
        pass
    assert known(weeks.consumption) == {step: 100.0 + step for step in (0, 1, 2)}


async def test_a_block_that_cannot_be_read_is_passed_over(store: Store):
    await store.append([block(0)], at(1))
    await store.append([msgspec.structs.replace(block(1), quality=b"")], at(2))
    await store.append([block(2)], at(3))
    weeks = weeks_of(store)
    await weeks.begin(at(3))
    assert not await weeks.read_on(10)
    assert sorted(known(weeks.consumption)) == [0, 2]


async def test_it_can_begin_anew_before_it_has_read_all(store: Store):
    for step in range(10):
        await store.append([block(step)], at(step + 1))
    weeks = weeks_of(store)
    for _ in range(2):
        await weeks.begin(at(10))
        assert await weeks.read_on(2)
    await weeks.close()
    assert not await weeks.read_on(2)
    assert sorted(known(weeks.consumption)) == [8, 9]


async def test_a_start_takes_the_last_week_and_the_rest_comes_later(store: Store, monkeypatch: pytest.MonkeyPatch):
    for day in range(21):
        await store.append([block(day * ENERGY.day_steps)], at(day * ENERGY.day_steps + 1))
    monkeypatch.setattr(past_weeks, "WEEK_BLOCKS_MAX", 7)
    weeks = weeks_of(store)
    await weeks.begin(at(21 * ENERGY.day_steps))
    await weeks.read_week()
    assert [step // ENERGY.day_steps for step in known(weeks.consumption)] == list(range(14, 21))
    assert await weeks.read_on(10), "newest first, the oldest are still to come"
    assert [step // ENERGY.day_steps for step in known(weeks.consumption)] == list(range(4, 21))
    assert not await weeks.read_on(10)
    assert len(known(weeks.consumption)) == 21


async def test_what_is_older_than_four_weeks_is_not_read(store: Store):
    for day in (0, 2, 29):
        await store.append([block(day * ENERGY.day_steps)], at(day * ENERGY.day_steps + 1))
    weeks = weeks_of(store)
    await weeks.begin(UtcUs(START_US + 29 * DAY_US + STEP_US))
    assert not await weeks.read_on(10)
    assert [step // ENERGY.day_steps for step in known(weeks.consumption)] == [2, 29]


def shown(consumption_w: float, solar_w: float) -> list[Aggregate]:
    values = (consumption_w + solar_w, solar_w)
    return [Aggregate(one, w, w, w, 5, Quality.GOOD) for one, w in zip(SOLAR, values, strict=True)]


async def test_each_window_has_its_own_steps_and_its_own_power(store: Store):
    weeks = PastWeeks(store, Site(SOLAR, WITH_SOLAR, 230.0), SOLAR, FINE)
    for period, (consumption_w, solar_w) in enumerate([(300.0, -90.0), (600.0, -30.0), (900.0, 12.0)]):
        weeks.live(UtcUs(START_US + period * 300_000_000), shown(consumption_w, solar_w))
    assert weeks.production is not None
    assert known(weeks.load) == {0: 300.0, 1: 600.0, 2: 900.0}
    assert known(weeks.consumption) == {0: 600.0}
    assert known(weeks.production) == {0: 40.0}, "what an inverter draws is not negative production"
    weeks.advance(UtcUs(at(3) + 1))
    assert {window.end_us for window in (weeks.consumption, weeks.production, weeks.load)} == {at(3)}


async def test_a_site_without_solar_has_no_production_and_slow_meters_no_finer_steps(store: Store):
    weeks = weeks_of(store)
    assert weeks.production is None
    assert weeks.load is weeks.consumption
    weeks.live(at(0), aggregates(0))
    assert known(weeks.load) == {0: 100.0}, "once"


@pytest.mark.parametrize(
    ("poll_s", "recording_s", "spec"),
    [
        (1, 60, LOAD),
        (60, 300, LOAD),
        (300, 300, LOAD),
        (60, 180, LOAD_SLOW),
        (60, 900, LOAD_SLOW),
        (900, 900, LOAD_SLOW),
    ],
)
def test_the_next_hour_is_told_as_finely_as_the_meters_are_read(poll_s: int, recording_s: int, spec):
    assert load_spec_of(RecordConfig(poll_period_s=poll_s, recording_period_s=recording_s)) is spec
