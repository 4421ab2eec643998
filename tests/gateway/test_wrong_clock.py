"""The loop on real meters and a real store, with a wall clock that lies: nothing lost, nothing reordered."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Series
from firmware_bridge.simulator.frames import Request
from gateway import config as settings
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.raw import unpack_raw
from gateway.contract.readings import unpack_block
from gateway.contract.records import RawBlock, ReadingsBlock, Record, StatusRecord, decode_record
from gateway.loop import Loop
from gateway.shell.inference import Inference
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper
from tests.sim.clock import LyingClock
from tests.sim.home import POLL_S, RECORDING_S, SCENARIO, START_US, Home, gateway_text, living_home
from tests.sim.stores import kept

pytestmark = pytest.mark.slow

POLL_US, RECORDING_US = POLL_S * US_PER_S, RECORDING_S * US_PER_S
HOUR_US, DAY_US, YEAR_US = 3600 * US_PER_S, 86_400 * US_PER_S, 365 * 86_400 * US_PER_S
HOUR_TICKS = 3600 // POLL_S
SCENARIO_START = "2026-01-05T00:00:00Z"
MAIN_POWER = Series(MeterId("main"), Measurand.ACTIVE_POWER_W)
# A board without a battery, somewhere in the first minutes of 1970: no whole number of polls or steps.
BOOT_US = -START_US + 123_456_789
# What changes the clock after so many ticks.
Plan = dict[int, Callable[[LyingClock], None]]
# By how much the clock showed another time at a true instant.
Lie = Callable[[int], int]
R = TypeVar("R", bound=Record)


def told_the_time(machine: LyingClock) -> None:
    machine.wrong_by_us, machine.is_trusted = 0, True


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store has for the cloud, in the order of its sequences."""

    records: list[Record]

    def of(self, kind: type[R]) -> list[R]:
        return [one for one in self.records if isinstance(one, kind)]

    @property
    def events(self) -> list[str]:
        return [one.event for one in self.of(StatusRecord)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the main meter gave out: when it really was, and its power."""

    at_us: int
    power_w: float


class PowerCutError(Exception):
    """The power is gone: what is open is lost."""


class Living:
    """A gateway in the home, on a clock that lies."""

    def __init__(self, home: Home, folder: Path, *, zone: str, poll_s: int) -> None:
        self.home, self.folder, self.machine = home, folder, LyingClock(home.clock)
        text = gateway_text(folder, home.port, poll_s=poll_s).replace("Africa/Lagos", zone)
        self.config = settings.load(text.replace("[store]", 'raw = "all"\n[store]'))

    async def run(self, ticks: int, plan: Plan | None = None, *, is_cut: bool = False) -> Loop:
        """So many ticks, the clock changing in between; then a stop, or a power cut."""
        clock = Timekeeper(self.machine)
        bridge = Bridge(self.config.buses, self.config.meters, clock)
        store = await Store.open(self.folder / "data", clock.utc_us())
        recorder = Recorder(store, clock)
        await recorder.begin()

        def alive() -> None:
            if (change := (plan or {}).get(loop.now.ticks)) is not None:
                change(self.machine)
            if loop.now.ticks == ticks:
                if is_cut:
                    raise PowerCutError
                loop.stop()

        inference = Inference(10.0, strike=lambda: 0, on_struck_out=lambda: None)
        loop = Loop(
            self.config, clock=clock, bridge=bridge, store=store, recorder=recorder, inference=inference, alive=alive
        )
        try:
            await loop.restore()
            await loop.run()
        except PowerCutError:
            pass
        finally:
            await bridge.close()
            await store.close()
        return loop

    async def kept(self) -> Kept:
        """What may go home."""
        store = await Store.open(self.folder / "data", self.machine.true.utc_us())
        stored = await kept(store)
        await store.close()
        sequences = [one.sequence for one in stored]
        assert sequences == list(range(1, len(stored) + 1))
        return Kept([decode_record(one.body) for one in stored])

    def shown(self) -> list[Shown]:
        """All that the main meter gave out, in the order of time; the home is closed."""
        lines = map(msgspec.json.decode, self.home.log_file.read_bytes().splitlines())
        return [
            Shown(line["at_us"], line["values"]["active_power_w"])
            for line in lines
            if line.get("meter") == "main" and "active_power_w" in line["values"]
        ]


@asynccontextmanager
async def a_life(
    folder: Path, *, zone: str = "Africa/Lagos", start: str = SCENARIO_START, poll_s: int = POLL_S
) -> AsyncIterator[Living]:
    """A gateway whose machine's clock is right until the test says otherwise."""
    async with living_home(folder, scenario=SCENARIO.replace(SCENARIO_START, start)) as home:
        yield Living(home, folder, zone=zone, poll_s=poll_s)


def each_is_kept(blocks: list[ReadingsBlock], shown: list[Shown], lie_us: Lie, poll_us: int = POLL_US) -> None:
    """Each reading that was given out is in a block, in order, under the instant that the clock showed then."""
    left = list(shown)
    for block in blocks:
        power = next(one for one in unpack_block(block) if one.series == MAIN_POWER)
        readings, left = left[: power.count], left[power.count :]
        values = [one.power_w for one in readings]
        found = (power.mean, power.minimum, power.maximum)
        assert found == pytest.approx((sum(values) / len(values), min(values), max(values)), abs=0.11)
        for reading, tick_us in ((readings[0], block.first_us), (readings[-1], block.last_us)):
            assert 0 <= reading.at_us + lie_us(reading.at_us) - tick_us < poll_us
    assert left == []


def each_is_kept_raw(blocks: list[RawBlock], shown: list[Shown], lie_us: Lie, poll_us: int) -> None:
    """The same of the single readings."""
    readings = []
    for block in blocks:
        found = unpack_raw(block)
        readings += zip(found.ticks, found.values[found.series.index(MAIN_POWER)].tolist(), strict=True)
    assert [power_w for _, power_w in readings] == pytest.approx([one.power_w for one in shown], abs=0.051)
    for (tick_us, _), one in zip(readings, shown, strict=True):
        assert 0 <= one.at_us + lie_us(one.at_us) - tick_us < poll_us


def all_is_kept(kept: Kept, shown: list[Shown], lie_us: Lie = lambda _: 0, *, poll_us: int = POLL_US) -> None:
    assert len(shown) > 1
    each_is_kept(kept.of(ReadingsBlock), shown, lie_us, poll_us)
    each_is_kept_raw(kept.of(RawBlock), shown, lie_us, poll_us)


async def test_a_boot_in_1970_that_is_set_after_an_hour_has_every_reading_under_its_true_instant(tmp_path: Path):
    async with a_life(tmp_path) as life:
        life.machine.wrong_by_us, life.machine.is_trusted = BOOT_US, False
        loop = await life.run(3 * HOUR_TICKS, {HOUR_TICKS: told_the_time})
        kept = await life.kept()
    all_is_kept(kept, life.shown())
    assert kept.events == ["clock_set"]
    # the window moved with it
    assert loop.weeks.consumption.end_us is not None
    assert START_US + 2 * HOUR_US <= loop.weeks.consumption.end_us <= START_US + 4 * HOUR_US
    assert loop.weeks.consumption.history()[1].sum() >= 3 * HOUR_US // ENERGY.step_us - 2


async def test_a_clock_that_is_set_within_a_sweep_tears_no_tick(tmp_path: Path):
    async with a_life(tmp_path) as life:
        life.machine.wrong_by_us, life.machine.is_trusted = BOOT_US, False
        reply, asked = life.home.server.reply, itertools.count()

        def set_and_reply(request: Request) -> bytes | None:
            if next(asked) == 4 * HOUR_TICKS + 1:
                told_the_time(life.machine)
            return reply(request)

        life.home.server.reply = set_and_reply
        await life.run(3 * HOUR_TICKS)
        kept = await life.kept()
    all_is_kept(kept, life.shown())
    assert kept.events == ["clock_set"]


async def test_a_clock_that_is_set_by_hand_first_is_right_in_the_end(tmp_path: Path):
    def by_hand(machine: LyingClock) -> None:
        machine.wrong_by_us = 0  # and no time server far and wide

    async with a_life(tmp_path) as life:
        life.machine.wrong_by_us, life.machine.is_trusted = BOOT_US, False
        await life.run(3 * HOUR_TICKS, {HOUR_TICKS: by_hand, 2 * HOUR_TICKS: told_the_time})
        kept = await life.kept()
    all_is_kept(kept, life.shown())
    assert kept.events == ["clock_set", "clock_set"]


@pytest.mark.parametrize("wrong_by_us", [10 * YEAR_US, -HOUR_US, -HOUR_US - 7 * US_PER_S])
async def test_a_trusted_clock_that_is_set_and_put_right_loses_and_reorders_nothing(tmp_path: Path, wrong_by_us: int):
    changes: list[int] = []
    async with a_life(tmp_path) as life:

        def change(to_us: int) -> Callable[[LyingClock], None]:
            def now(machine: LyingClock) -> None:
                machine.wrong_by_us = to_us
                changes.append(machine.true.utc_us())

            return now

        loop = await life.run(3 * HOUR_TICKS, {HOUR_TICKS + 1: change(wrong_by_us), 2 * HOUR_TICKS + 1: change(0)})
        kept = await life.kept()

    all_is_kept(kept, life.shown(), lambda at_us: wrong_by_us if changes[0] < at_us <= changes[1] else 0)
    assert kept.events == ["clock_stepped", "clock_stepped"]
    assert [one.detail.split(" by ")[0] for one in kept.of(StatusRecord)] == (
        ["the clock was set forward", "the clock was set back"]
        if wrong_by_us > 0
        else ["the clock was set back", "the clock was set forward"]
    )
    known = loop.weeks.consumption.history()[1]
    assert known.sum() >= 2 * HOUR_US // ENERGY.step_us - 2, "what is on disk is known again"


async def test_a_power_cut_before_the_time_is_known_leaves_a_guess_and_the_next_start_is_right(tmp_path: Path):
    async with a_life(tmp_path) as life:
        life.machine.wrong_by_us, life.machine.is_trusted = BOOT_US, False
        await life.run(HOUR_TICKS, is_cut=True)
        assert (await life.kept()).records == [], "nobody knows yet when that was"
        cut_us = life.machine.true.utc_us()
        life.machine.wrong_by_us = BOOT_US - (cut_us - START_US)
        await life.run(2 * HOUR_TICKS, {HOUR_TICKS: told_the_time})
        kept = await life.kept()
    shown, blocks = life.shown(), kept.of(ReadingsBlock)
    before = [one for one in shown if one.at_us < cut_us]
    guesses = [block for block in blocks if block.start_us < DAY_US]
    assert blocks[: len(guesses)] == guesses
    whole = sum(next(one.count for one in unpack_block(block) if one.series == MAIN_POWER) for block in guesses)
    assert len(before) - RECORDING_S // POLL_S <= whole <= len(before), "the open period is the loss that is declared"
    each_is_kept(guesses, before[:whole], lambda _: BOOT_US)
    each_is_kept(blocks[len(guesses) :], shown[len(before) :], lambda _: 0)
    assert sorted(kept.events) == ["clock_guessed", "clock_set"]


async def test_a_board_without_a_battery_goes_on_from_the_newest_instant_on_disk(tmp_path: Path):
    async with a_life(tmp_path) as life:
        await life.run(4 * HOUR_TICKS)
        ended_us = life.machine.true.utc_us()
        life.machine.wrong_by_us, life.machine.is_trusted = -ended_us, False
        loop = await life.run(HOUR_TICKS)
        assert loop.now.row is not None
        assert ended_us - RECORDING_US <= loop.now.row.tick_us - HOUR_US <= ended_us + RECORDING_US
        assert loop.weeks.consumption.history()[1].sum() >= 4 * HOUR_US // ENERGY.step_us - 1, "it knows what it knew"
        told_the_time(life.machine)
        loop = await life.run(2)
        kept = await life.kept()
    shown = life.shown()
    assert len(shown) == 5 * HOUR_TICKS + 2
    assert kept.events == ["clock_guessed"]


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
async def test_nothing_happens_when_summer_time_begins_and_ends(tmp_path: Path, day: date, quarters: int):
    zone, ticks = ZoneInfo("Europe/Berlin"), 27 * 4
    evening = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=3)
    async with a_life(tmp_path, zone=zone.key, start=f"{evening:%Y-%m-%dT%H:%M:%SZ}", poll_s=900) as life:
        await life.run(ticks)
        kept = await life.kept()
    all_is_kept(kept, life.shown(), poll_us=900 * US_PER_S)
    assert kept.events == []
    starts = [block.start_us for block in kept.of(ReadingsBlock)]
    assert starts == list(range(starts[0], starts[-1] + 1, RECORDING_US))
    there = [datetime.fromtimestamp(start_us / US_PER_S, zone) for start_us in starts]
    assert sum(start.date() == day for start in there) == quarters
