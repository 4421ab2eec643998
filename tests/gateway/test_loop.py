"""The tick on real meters, a real store and a real model, in time that runs as fast as the machine allows."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import Clock, ScaledClock
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs, floor_us
from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.server import ModbusServer
from gateway import config as settings
from gateway.contract.batches import StoredRecord
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD_SLOW
from gateway.contract.inputs import RECENT_VALID_MIN
from gateway.contract.raw import unpack_raw
from gateway.contract.readings import unpack_block
from gateway.contract.records import (
    Aggregate,
    DecisionRecord,
    ForecastRecord,
    RawBlock,
    ReadingsBlock,
    Record,
    decode_record,
)
from gateway.loop import Loop
from gateway.shell.bundle_files import FACTORY, ActiveBundle
from gateway.shell.inference import Inference
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper
from gateway.shell.verified_bundle import read_bundle
from tests.sim.home import POLL_S, RATE, RECORDING_S, START_US, Home, gateway_text, living_home
from tests.sim.stores import kept as waiting_in

pytestmark = pytest.mark.slow

POLL_US, RECORDING_US, STEP_US = POLL_S * 1_000_000, RECORDING_S * 1_000_000, ENERGY.step_us
DIGEST = read_bundle(FACTORY).digest
MAIN_POWER = Series(MeterId("main"), Measurand.ACTIVE_POWER_W)
# Real seconds for what takes milliseconds on an idle machine.
PATIENT_S = 10.0


def no_model() -> Inference:
    return Inference(PATIENT_S, strike=lambda: 0, on_struck_out=lambda: None)


@asynccontextmanager
async def starter_model() -> AsyncIterator[Inference]:
    inference = no_model()
    await inference.use(ActiveBundle(FACTORY, DIGEST, 0, "factory"))
    try:
        yield inference
    finally:
        await inference.close()


@asynccontextmanager
async def a_loop(
    home: Home, folder: Path, inference: Inference, *, stop_when: Callable[[Loop], bool] = lambda _: False
) -> AsyncIterator[tuple[Loop, Store]]:
    """A loop on the home's meters that stops itself after the tick at which `stop_when` says so."""
    async with a_loop_at(home.port, home.clock, folder, inference, stop_when=stop_when) as parts:
        yield parts


@asynccontextmanager
async def a_loop_at(
    port: int,
    clock: Clock,
    folder: Path,
    inference: Inference,
    *,
    stop_when: Callable[[Loop], bool] = lambda _: False,
    bus_timeout_s: float = 0.5,
) -> AsyncIterator[tuple[Loop, Store]]:
    config = settings.load(gateway_text(folder, port, bus_timeout_s=bus_timeout_s))
    keeper = Timekeeper(clock)
    bridge = Bridge(config.buses, config.meters, keeper)
    store = await Store.open(folder / "data", clock.utc_us())
    recorder = Recorder(store, keeper)
    await recorder.begin()

    def alive() -> None:
        if stop_when(loop):
            loop.stop()

    loop = Loop(config, clock=keeper, bridge=bridge, store=store, recorder=recorder, inference=inference, alive=alive)
    try:
        yield loop, store
    finally:
        await bridge.close()
        await store.close()


def ticked(loop: Loop) -> UtcUs:
    assert loop.now.row is not None
    return loop.now.row.tick_us


def next_tick_us(clock: Clock) -> int:
    return floor_us(clock.utc_us(), POLL_US) + POLL_US


def after(at_us: int) -> Callable[[Loop], bool]:
    return lambda loop: ticked(loop) >= at_us


async def kept(store: Store) -> list[tuple[StoredRecord, Record]]:
    return [(stored, decode_record(stored.body)) for stored in await waiting_in(store)]


def of_kind(records: list[tuple[StoredRecord, Record]], kind: type) -> list[Any]:
    return [record for _, record in records if isinstance(record, kind)]


def forecasts_of(
    records: list[tuple[StoredRecord, Record]], kind: str = "energy_forecast", target: str = "consumption_w"
) -> list[ForecastRecord]:
    return [one for one in of_kind(records, ForecastRecord) if (one.kind, one.target) == (kind, target)]


def ticks_in(blocks: list[ReadingsBlock], poll_us: int = POLL_US) -> list[int]:
    return [tick for block in blocks for tick in range(block.first_us, block.last_us + 1, poll_us)]


def main_power(block: ReadingsBlock) -> Aggregate:
    return next(one for one in unpack_block(block) if one.series == MAIN_POWER)


@dataclass(frozen=True, slots=True)
class Lived:
    """A day and a half of the home, as it was kept and as it was."""

    ticks: list[int]
    records: list[tuple[StoredRecord, Record]]
    given_out: list[dict[str, Any]]


async def live(folder: Path) -> Lived:
    async with starter_model() as inference, living_home(folder) as home:
        end_us = START_US + DAY_US * 3 // 2
        async with a_loop(home, folder, inference, stop_when=after(end_us)) as (loop, store):
            first_us = next_tick_us(home.clock)
            await loop.run()
            records = await kept(store)
        ticks = list(range(first_us, ticked(loop) + 1, POLL_US))
    given_out = [msgspec.json.decode(line) for line in home.log_file.read_bytes().splitlines()]
    return Lived(ticks, records, given_out)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return asyncio.run(live(tmp_path_factory.mktemp("home")))


def test_every_instant_of_the_grid_is_swept_exactly_once(lived: Lived):
    swept: dict[tuple[str, int], list[int]] = {}
    for line in lived.given_out:
        if line["values"]:  # a serial number is read once in a while
            swept.setdefault((line["meter"], line["address"]), []).append(floor_us(line["at_us"], POLL_US))
    assert {meter for meter, _ in swept} == {"main", "roof"}
    for ticks in swept.values():
        assert ticks == lived.ticks


def test_blocks_cover_every_tick_once_and_are_whole(lived: Lived):
    blocks = of_kind(lived.records, ReadingsBlock)
    assert ticks_in(blocks) == lived.ticks
    for block in blocks:
        assert block.start_us == floor_us(block.first_us, RECORDING_US) == floor_us(block.last_us, RECORDING_US)
        aggregate = main_power(block)
        assert aggregate.count == (block.last_us - block.first_us) // POLL_US + 1
    # the first begins beside its period's start, the last was closed by the stop
    assert all(main_power(block).quality is Quality.GOOD for block in blocks[1:-1])


def test_a_block_says_what_the_meter_gave_out(lived: Lived):
    power = {
        floor_us(line["at_us"], POLL_US): line["values"]["active_power_w"]
        for line in lived.given_out
        if line["meter"] == "main" and "active_power_w" in line["values"]
    }
    for block in of_kind(lived.records, ReadingsBlock):
        values = [power[tick] for tick in range(block.first_us, block.last_us + 1, POLL_US)]
        aggregate = main_power(block)
        found = (aggregate.mean, aggregate.minimum, aggregate.maximum)
        assert found == pytest.approx((sum(values) / len(values), min(values), max(values)), abs=0.11)


def test_the_model_speaks_once_it_knows_a_day_and_then_at_every_step(lived: Lived):
    forecasts = forecasts_of(lived.records)
    by_model = [one for one in forecasts if one.rung == "model"]
    first_us, last_us = by_model[0].start_us, by_model[-1].start_us
    known_us = first_us - lived.ticks[0]
    assert RECENT_VALID_MIN * DAY_US - STEP_US < known_us <= RECENT_VALID_MIN * DAY_US + STEP_US
    assert [one.start_us for one in by_model] == list(range(first_us, last_us + 1, STEP_US))
    assert lived.ticks[-1] - STEP_US < last_us <= lived.ticks[-1] + POLL_US
    assert {one.bundle for one in by_model} == {DIGEST}


def test_a_baseline_stands_at_every_step_and_beside_each_word_of_the_model(lived: Lived):
    forecasts = forecasts_of(lived.records)
    baselines = [one for one in forecasts if one.rung != "model"]
    starts = [one.start_us for one in baselines]
    assert starts == list(range(starts[0], starts[-1] + 1, STEP_US))
    assert starts[0] <= lived.ticks[0] + 2 * STEP_US, "as soon as half a step is known"
    assert {one.start_us for one in forecasts if one.rung == "model"} <= set(starts)
    assert {one.bundle for one in baselines} == {None}
    assert {one.rung for one in baselines} == {"last_value", "daily_naive"}, "a week is not over"


def test_the_sun_and_the_next_hour_are_forecast_beside_it(lived: Lived):
    starts = {one.start_us for one in forecasts_of(lived.records)}
    production = forecasts_of(lived.records, target="production_w")
    load = forecasts_of(lived.records, "load_prediction")
    assert {one.start_us for one in production} == {one.start_us for one in load} == starts
    for forecasts, spec in ((production, ENERGY), (load, LOAD_SLOW)):
        assert {len(one.p50) for one in forecasts} == {spec.horizon_steps}
        assert "model" in {one.rung for one in forecasts}
    assert all(min(one.p10) >= 0 for one in production), "the sun takes nothing"
    for one in load:
        assert one.p95 is not None
        assert one.peak is not None
        assert one.peak == sorted(one.peak)
        assert one.peak[1] >= max(one.p50)


def test_forecasts_are_on_disk_before_the_time_they_speak_of(lived: Lived):
    forecasts = [(stored, one) for stored, one in lived.records if isinstance(one, ForecastRecord)]
    for stored, forecast in forecasts:
        assert forecast.issued_us <= stored.recorded_us < forecast.start_us
        assert forecast.start_us == forecast.issued_us + POLL_US


def test_decisions_name_the_bundle_that_they_rest_on(lived: Lived):
    first_us = next(one.issued_us for one in forecasts_of(lived.records) if one.rung == "model")
    decisions = of_kind(lived.records, DecisionRecord)
    assert {one.bundle for one in decisions if one.at_us < first_us} == {None}
    assert {one.bundle for one in decisions if one.at_us >= first_us} == {DIGEST}


def test_what_is_stored_is_in_the_order_of_time(lived: Lived):
    assert [stored.sequence for stored, _ in lived.records] == list(range(1, len(lived.records) + 1))
    for (before, _), (following, _) in itertools.pairwise(lived.records):
        assert before.recorded_us <= following.recorded_us


def a_step_is_over(at_us: int) -> Callable[[Loop], bool]:
    return lambda loop: ticked(loop) >= at_us and (ticked(loop) + POLL_US) % STEP_US == 0


async def test_a_restart_knows_what_was_known(tmp_path: Path):
    async with living_home(tmp_path) as home:
        a_night_us = START_US + DAY_US // 4
        async with a_loop(home, tmp_path, no_model(), stop_when=a_step_is_over(a_night_us)) as (loop, _):
            await loop.run()
        async with a_loop(home, tmp_path, no_model()) as (again, _):
            await again.restore()
        assert again.weeks.consumption.end_us is not None
        loop.weeks.consumption.advance(again.weeks.consumption.end_us)  # time went on meanwhile
        power_w, known = loop.weeks.consumption.history()
        restored_w, restored_known = again.weeks.consumption.history()
        assert known.sum() >= ENERGY.day_steps // 4 - 1
        assert np.array_equal(known, restored_known)
        # blocks keep the resolution of the measurand: a tenth of a watt for each of the two meters
        assert np.allclose(power_w, restored_w, rtol=0, atol=0.2)


async def test_after_a_restart_the_grid_goes_on_without_a_tick_twice(tmp_path: Path):
    async with living_home(tmp_path) as home:
        for hour in (1, 2, 3):
            stop_when = after(START_US + hour * 4 * STEP_US)
            async with a_loop(home, tmp_path, no_model(), stop_when=stop_when) as (loop, store):
                await loop.restore()
                await loop.run()
                ticks = ticks_in(of_kind(await kept(store), ReadingsBlock))
        assert ticks == sorted(set(ticks))
        assert ticks[-1] == ticked(loop)


async def test_single_readings_are_kept_when_somebody_asks_for_them(tmp_path: Path):
    async with living_home(tmp_path) as home:
        first_us = UtcUs(next_tick_us(home.clock))
        from_us, to_us = UtcUs(first_us + 2 * POLL_US), UtcUs(first_us + 9 * POLL_US)

        def stop_when(loop: Loop) -> bool:
            if loop.now.ticks == 6:
                assert loop.request_raw(from_us, to_us), "some of it is past"
            return loop.now.ticks == 12

        async with a_loop(home, tmp_path, no_model(), stop_when=stop_when) as (loop, store):
            await loop.run()
            (raw,) = of_kind(await kept(store), RawBlock)
    found = unpack_raw(raw)
    assert raw.reason == "request"
    assert found.ticks == list(range(from_us, to_us, POLL_US))
    given_out = map(msgspec.json.decode, home.log_file.read_bytes().splitlines())
    shown_w = [
        line["values"]["active_power_w"]
        for line in given_out
        if line["meter"] == "main" and from_us <= line["at_us"] < to_us and "active_power_w" in line["values"]
    ]
    assert found.values[found.series.index(MAIN_POWER)].tolist() == pytest.approx(shown_w, abs=0.051)


@pytest.mark.parametrize("polls", [1, 2, 3, 4])
async def test_a_stop_closes_the_open_period_and_loses_nothing(tmp_path: Path, polls: int):
    async with living_home(tmp_path) as home:

        def stop_when(loop: Loop) -> bool:
            return loop.now.ticks == polls

        async with a_loop(home, tmp_path, no_model(), stop_when=stop_when) as (loop, store):
            first_us = next_tick_us(home.clock)
            await loop.run()
            assert loop.now.ticks == polls, "not a tick more"
            ticks = ticks_in(of_kind(await kept(store), ReadingsBlock))
        assert ticks == list(range(first_us, ticked(loop) + 1, POLL_US))


async def test_meters_that_are_away_are_missing_and_the_tick_goes_on(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    clock = ScaledClock.create(tmp_path / "clock", start_us=START_US, rate=RATE)
    clock.hold_before(UtcUs(START_US + 1))
    async with a_loop_at(port, clock, tmp_path, no_model(), stop_when=after(START_US + 4 * STEP_US)) as (loop, store):
        first_us = next_tick_us(clock)
        await loop.run()
        records = await kept(store)
    blocks = of_kind(records, ReadingsBlock)
    assert ticks_in(blocks) == list(range(first_us, ticked(loop) + 1, POLL_US))
    assert {one.quality for block in blocks for one in unpack_block(block)} == {Quality.MISSING}
    assert of_kind(records, ForecastRecord) == []
    assert loop.now.site is not None
    assert loop.now.site.consumption_w is None


@asynccontextmanager
async def meters_that_say_nothing() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Their port, and an event: one was asked."""
    asked = asyncio.Event()

    def silence(_: Request) -> None:
        asked.set()

    server = ModbusServer(silence)
    try:
        yield await server.listen("127.0.0.1", 0), asked
    finally:
        server.close()


def just_before_a_tick(folder: Path) -> ScaledClock:
    """The machine's own pace, and time for a busy machine to set the stage before the tick."""
    return ScaledClock.create(folder / "clock", start_us=UtcUs(START_US + POLL_US - 1_500_000), rate=1.0)


async def test_a_stop_during_a_tick_does_not_wait_for_the_next(tmp_path: Path):
    async with living_home(tmp_path) as home:
        clock = just_before_a_tick(tmp_path)
        async with a_loop_at(home.port, clock, tmp_path, no_model(), stop_when=lambda _: True) as (loop, store):
            async with asyncio.timeout(PATIENT_S):  # far below the poll period
                await loop.run()
            assert ticks_in(of_kind(await kept(store), ReadingsBlock)) == [START_US + POLL_US]


async def test_a_stop_does_not_wait_for_meters_that_say_nothing(tmp_path: Path):
    async with (
        meters_that_say_nothing() as (port, asked),
        a_loop_at(port, just_before_a_tick(tmp_path), tmp_path, no_model(), bus_timeout_s=30.0) as (loop, store),
        asyncio.timeout(PATIENT_S),  # far below the time-out of the bus
        asyncio.TaskGroup() as tasks,
    ):
        run = tasks.create_task(loop.run())
        await asked.wait()
        loop.stop()
        await run
        assert await kept(store) == [], "what nobody saw is not recorded"


async def test_a_sweep_that_answers_is_recorded_although_a_stop_came_meanwhile(tmp_path: Path):
    async with living_home(tmp_path) as home:
        clock = just_before_a_tick(tmp_path)
        async with a_loop_at(home.port, clock, tmp_path, no_model()) as (loop, store):
            reply = home.server.reply

            def stop_and_reply(request: Request) -> bytes | None:
                loop.stop()
                return reply(request)

            home.server.reply = stop_and_reply
            async with asyncio.timeout(PATIENT_S):
                await loop.run()
            (block,) = of_kind(await kept(store), ReadingsBlock)
        assert main_power(block).quality is not Quality.MISSING
