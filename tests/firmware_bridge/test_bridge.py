import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.bus import REST_FIRST_S
from firmware_bridge.catalog import load_profile
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.counter import CounterState, Level
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.meter import BAD_SWEEPS_MAX
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Reading, Series, UtcUs
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.modbus_server import Behaviour, ModbusServer, Request, modbus_server, zeros
from tests.sim.clock import START_US, SimClock

# Far above a loopback answer on a busy machine, short enough to wait for.
SILENCE_S = 0.3
LONG_S = 30.0
TICK_US = UtcUs(START_US - 60_000_000)

GRID = MeterConfig("grid", "mains", 1, "eastron_sdm630", "grid")
SOLAR = MeterConfig("solar", "mains", 2, "carlo_gavazzi_em340", "solar")


@asynccontextmanager
async def black_hole(port: int) -> AsyncIterator[None]:
    """A host that answers nothing, not even that nobody listens there: its queue of connections is full."""
    loop = asyncio.get_running_loop()
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", port), backlog=0))
        for _ in range(3):
            one = sockets.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE_S):
                    await loop.sock_connect(one, listener.getsockname())
        yield


def a_bus(server: ModbusServer, name: str = "mains", timeout_s: float = LONG_S) -> BusConfig:
    return BusConfig(name, f"tcp://127.0.0.1:{server.port}", timeout_s)


def meters(count: int, bus: str = "mains") -> list[MeterConfig]:
    """Small meters of two requests each, units 1 to `count`."""
    return [MeterConfig(f"{bus}{unit}", bus, unit, "carlo_gavazzi_em340") for unit in range(1, count + 1)]


def holding(values: dict[int, Sequence[int]]) -> Behaviour:
    """A meter with these words at these addresses, 0 elsewhere."""
    words = [0] * 0x200
    for address, some in values.items():
        words[address : address + len(some)] = some
    return lambda asked: asked.registers(words[asked.address : asked.address + asked.count])


def f32(value: float) -> Sequence[int]:
    return struct.unpack(">2H", struct.pack(">f", value))


def value_of(readings: list[Reading], meter: str, measurand: Measurand) -> float | None:
    return next(one.value for one in readings if one.meter == meter and one.measurand is measurand)


def missing(readings: list[Reading]) -> set[str]:
    """Meters none of whose values came."""
    return {one.meter for one in readings} - {one.meter for one in readings if one.quality is not Quality.MISSING}


def test_the_series_of_all_meters_are_known_before_anything_is_read():
    bridge = Bridge([BusConfig("mains", "tcp://127.0.0.1:1")], [GRID, SOLAR], SimClock())
    assert len(bridge.series) == 17 + 15
    assert bridge.series[0] == Series(MeterId("grid"), Measurand.VOLTAGE_L1_V)
    assert [health.meter for health in bridge.health()] == ["grid", "solar"]


def test_what_counters_remember_goes_back_to_the_meters_that_are_still_there():
    state = CounterState(Level(5_000.0, TICK_US, TICK_US, None))
    kept = {Series(MeterId(name), Measurand.ENERGY_IMPORT_WH): state for name in ("grid", "gone")}
    bridge = Bridge([BusConfig("mains", "tcp://127.0.0.1:1")], [GRID, SOLAR], SimClock(), counters=kept)
    known = {series: one for series, one in bridge.counters.items() if one != CounterState()}
    assert known == {Series(MeterId("grid"), Measurand.ENERGY_IMPORT_WH): state}
    assert {series.meter for series in bridge.counters} == {"grid", "solar"}


def test_a_wrong_setting_is_told_before_anything_is_read():
    unknown = MeterConfig("grid", "mains", 1, "sdm630")
    with pytest.raises(SettingError, match=r"^meter\.grid\.profile = 'sdm630': is not a known meter; use one of"):
        Bridge([BusConfig("mains", "tcp://127.0.0.1:1")], [unknown], SimClock())
    with pytest.raises(SettingError, match=r"bus.mains.url"):
        Bridge([BusConfig("mains", "tcp://127.0.0.1:0")], [GRID], SimClock())


@pytest.mark.slow
class TestOnAWire:
    async def test_a_sweep_reads_every_meter_in_si_units(self):
        feeds_in = {0x06: f32(7), 0x0C: f32(-1500.5), 0x1E: f32(0.93), 0x34: f32(-1500.5), 0x38: f32(1600)}
        grid = holding(feeds_in | {0x00: f32(230.5), 0x46: f32(50), 0x48: f32(1234.5), 0x156: f32(2.5)})
        produces = {0x0C: [11_000, 0], 0x12: [0x9E58, 0xFFFF], 0x28: [0x9E58, 0xFFFF], 0x31: [988]}
        solar = holding(produces | {0x00: [2301, 0], 0x33: [499], 0x34: [0xD687, 0x0012]})
        async with modbus_server(unit_1=grid, unit_2=solar) as server:
            clock = SimClock()
            bridge = Bridge([a_bus(server)], [GRID, SOLAR], clock)
            readings = await bridge.sweep(TICK_US, LONG_S)
            assert [(one.meter, one.measurand) for one in readings] == [(s.meter, s.measurand) for s in bridge.series]
            assert value_of(readings, "grid", Measurand.VOLTAGE_L1_V) == 230.5
            assert value_of(readings, "grid", Measurand.ACTIVE_POWER_W) == -1500.5
            assert value_of(readings, "grid", Measurand.ENERGY_IMPORT_WH) == 1_234_500
            assert value_of(readings, "grid", Measurand.ENERGY_TOTAL_WH) == 2500
            assert value_of(readings, "solar", Measurand.VOLTAGE_L1_V) == 230.1
            assert value_of(readings, "solar", Measurand.ACTIVE_POWER_W) == -2500
            assert value_of(readings, "solar", Measurand.FREQUENCY_HZ) == 49.9
            assert value_of(readings, "solar", Measurand.ENERGY_IMPORT_WH) == 123_456_700
            assert [one for one in readings if one.quality is not Quality.GOOD] == []
            assert {one.at_us for one in readings} == {clock.utc_us()}
            # two blocks each, and the serial number at the first contact
            assert server.units_asked == [1, 1, 1, 2, 2, 2]
            await bridge.close()

    async def test_a_silent_meter_is_missing_at_the_tick_and_costs_one_time_out(self):
        async with modbus_server(unit_2=zeros) as server:
            bridge = Bridge([a_bus(server, timeout_s=SILENCE_S)], [GRID, SOLAR], SimClock())
            readings = await bridge.sweep(TICK_US, LONG_S)
            assert missing(readings) == {"grid"}
            assert {one.at_us for one in readings if one.meter == "grid"} == {TICK_US}
            assert server.units_asked == [1, 2, 2, 2]
            grid, solar = bridge.health()
            assert (grid.reads_ok, grid.reads_failed, grid.silent_since_us) == (0, 1, TICK_US)
            assert grid.last_error.startswith("no reply: waited_s=0.305 bus=mains unit=1")
            assert (solar.reads_ok, solar.silent_since_us, solar.last_error) == (3, None, "")
            await bridge.close()

    async def test_one_dead_of_ten_is_asked_last_then_seldom_and_the_nine_are_read_in_every_sweep(self):
        async with modbus_server(**{f"unit_{unit}": zeros for unit in range(1, 11) if unit != 4}) as server:
            clock = SimClock()
            bridge = Bridge([a_bus(server, timeout_s=SILENCE_S)], meters(10), clock)
            for _ in range(20):
                assert missing(await bridge.sweep(TICK_US, LONG_S)) == {"mains4"}
            asked_dead = [place for place, unit in enumerate(server.units_asked) if unit == 4]
            assert len(asked_dead) == BAD_SWEEPS_MAX
            # In its first sweep it had its turn, after three blocks each of three others; then the last one.
            assert asked_dead == [9, 28 + 18, 28 + 19 + 18]
            clock.advance(REST_FIRST_S)
            await bridge.sweep(TICK_US, LONG_S)
            assert server.units_asked.count(4) == BAD_SWEEPS_MAX + 1
            await bridge.sweep(TICK_US, LONG_S)
            assert server.units_asked.count(4) == BAD_SWEEPS_MAX + 1
            await bridge.close()

    async def test_a_meter_that_comes_back_is_found_by_the_next_probe_and_both_are_logged_once(self, caplog):
        async with modbus_server() as server:
            clock = SimClock()
            bridge = Bridge([a_bus(server, timeout_s=SILENCE_S)], [GRID], clock)
            with caplog.at_level(logging.INFO):
                for _ in range(BAD_SWEEPS_MAX + 3):
                    await bridge.sweep(TICK_US, LONG_S)
                server.behaviours[1] = zeros
                assert missing(await bridge.sweep(TICK_US, LONG_S)) == {"grid"}
                clock.advance(REST_FIRST_S)
                for _ in range(3):
                    assert missing(await bridge.sweep(TICK_US, LONG_S)) == set()
            assert [(record.levelname, record.message.split(" error=")[0]) for record in caplog.records] == [
                ("WARNING", "meter silent: meter=grid"),
                ("INFO", "meter back: meter=grid reads_failed=3"),
            ]
            await bridge.close()

    async def test_a_dead_line_does_not_touch_the_others(self):
        async with modbus_server(**{f"unit_{unit}": zeros for unit in range(1, 4)}) as server:
            async with modbus_server() as gone:
                pass
            buses = [a_bus(gone, "roof"), a_bus(server)]
            bridge = Bridge(buses, [*meters(3, "roof"), *meters(3)], SimClock())
            for _ in range(BAD_SWEEPS_MAX + 1):
                readings = await bridge.sweep(TICK_US, LONG_S)
                assert missing(readings) == {"roof1", "roof2", "roof3"}
            assert all("no connection: bus=roof" in health.last_error for health in bridge.health()[:3])
            await bridge.close()

    async def test_lines_are_read_at_the_same_time(self):
        both_asked = asyncio.Barrier(2)

        async def when_both_are_asked(asked: Request) -> bytes:
            await both_asked.wait()
            return zeros(asked)

        async with (
            modbus_server(unit_1=when_both_are_asked) as one,
            modbus_server(unit_1=when_both_are_asked) as other,
        ):
            bridge = Bridge([a_bus(one), a_bus(other, "roof")], [*meters(1), *meters(1, "roof")], SimClock())
            assert missing(await bridge.sweep(TICK_US, LONG_S)) == set()
            await bridge.close()

    async def test_what_is_not_back_by_the_deadline_is_missing_and_comes_first_in_the_next_sweep(self):
        async with modbus_server(unit_1=zeros, unit_3=zeros) as server:
            bridge = Bridge([a_bus(server)], meters(3), SimClock())
            readings = await bridge.sweep(TICK_US, SILENCE_S)
            assert missing(readings) == {"mains2", "mains3"}
            assert bridge.health()[1].last_error == "not back by the deadline of the sweep"
            assert bridge.health()[2].reads_failed == 0
            server.requests.clear()
            server.behaviours[2] = zeros
            assert missing(await bridge.sweep(TICK_US, LONG_S)) == set()
            assert server.units_asked == [3, 3, 3, 1, 1, 2, 2, 2]
            await bridge.close()

    async def test_a_refused_block_is_missing_and_the_others_are_read(self):
        def refuse_the_total(asked: Request) -> bytes:
            return asked.refusal(2) if asked.address == 0x156 else zeros(asked)

        async with modbus_server(unit_1=refuse_the_total) as server:
            bridge = Bridge([a_bus(server)], [GRID], SimClock())
            for sweep in range(BAD_SWEEPS_MAX + 2):
                readings = await bridge.sweep(UtcUs(TICK_US + sweep * US_PER_S), LONG_S)
                absent = [one.measurand for one in readings if one.quality is Quality.MISSING]
                assert absent == [Measurand.ENERGY_TOTAL_WH]
            # Asked twice, then known not to be there.
            (health,) = bridge.health()
            assert (health.reads_failed, health.silent_since_us) == (2, None)
            assert health.last_error.startswith("exception 2 (illegal address)")
            await bridge.close()

    @pytest.mark.parametrize(
        "rubbish", [lambda asked: asked.registers([1]), lambda _: b"\xff" * 40, lambda asked: asked.frame(b"\x63")]
    )
    async def test_rubbish_is_missing_and_a_meter_on_the_same_line_is_read(self, rubbish: Behaviour):
        async with modbus_server(unit_1=rubbish, unit_2=zeros) as server:
            bridge = Bridge([a_bus(server)], [GRID, SOLAR], SimClock())
            for _ in range(3):
                assert missing(await bridge.sweep(TICK_US, LONG_S)) == {"grid"}
            assert bridge.health()[0].last_error.startswith("bad reply: ")
            await bridge.close()

    async def test_a_sweep_can_be_cancelled_and_the_next_one_is_whole(self):
        asked = asyncio.Event()

        async def never(_: Request) -> bytes:
            asked.set()
            await asyncio.Event().wait()
            return b""

        async with modbus_server(unit_1=never) as server:
            bridge = Bridge([a_bus(server)], [GRID], SimClock())
            async with asyncio.TaskGroup() as group:
                sweep = group.create_task(bridge.sweep(TICK_US, LONG_S))
                await asked.wait()
                sweep.cancel()
            assert sweep.cancelled()
            server.behaviours[1] = zeros
            assert missing(await bridge.sweep(TICK_US, LONG_S)) == set()
            await bridge.close()
            await bridge.close()

    async def test_a_device_that_wants_a_rest_after_connecting_has_it_before_the_first_question(self):
        async with modbus_server(unit_1=zeros) as server:
            clock = SimClock()
            bridge = Bridge([a_bus(server)], [MeterConfig("roof", "mains", 1, "huawei_sun2000")], clock)
            rest_s = load_profile("huawei_sun2000").file.connect_pause_s
            assert rest_s > 0
            assert missing(await bridge.sweep(TICK_US, rest_s / 2)) == {"roof"}
            assert server.units_asked == []
            assert bridge.health()[0].silent_since_us is None
            assert missing(await bridge.sweep(TICK_US, LONG_S)) == set()
            assert clock.monotonic_s() >= rest_s
            await bridge.close()

    async def test_a_device_and_its_line_must_speak_the_same(self):
        for protocol, profile, spoken in (("p1", "eastron_sdm630", "modbus"), ("modbus", "dsmr_p1", "p1")):
            bus = BusConfig("mains", "tcp://127.0.0.1:1", protocol=protocol)
            with pytest.raises(SettingError, match=f"speaks {spoken}, and the bus mains is for {protocol}"):
                Bridge([bus], [MeterConfig("grid", "mains", 1, profile)], SimClock())

    async def test_a_host_that_is_gone_leaves_no_old_values_standing_whoever_needs_a_rest_after_connecting(self):
        async with modbus_server(unit_1=zeros) as server:
            clock = SimClock()
            bus, roof = a_bus(server), MeterConfig("roof", "mains", 1, "huawei_sun2000")
            bridge = Bridge([bus], [roof], clock)
            await bridge.sweep(TICK_US, SILENCE_S)
            assert missing(await bridge.sweep(TICK_US, LONG_S)) == set()
        async with black_hole(server.port):
            for sweep in range(1, BAD_SWEEPS_MAX + 1):
                assert missing(await bridge.sweep(UtcUs(TICK_US + sweep * US_PER_S), SILENCE_S)) == {"roof"}
            assert bridge.health()[0].silent_since_us == TICK_US + US_PER_S
            await bridge.close()

    async def test_an_adapter_that_is_gone_leaves_no_old_telegram_standing(self):
        connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        adapter = await asyncio.start_server(lambda _, writer: connections.put_nowait(writer), "127.0.0.1", 0)
        port = adapter.sockets[0].getsockname()[1]
        bus = BusConfig("p1", f"tcp://127.0.0.1:{port}", LONG_S, protocol="p1")
        clock = SimClock()
        bridge = Bridge([bus], [MeterConfig("grid", "p1", 1, "dsmr_p1")], clock)
        await bridge.sweep(clock.utc_us(), LONG_S)
        writer = await connections.get()
        writer.write(golden.DSMR_5)
        while missing(await bridge.sweep(clock.utc_us(), LONG_S)):
            await asyncio.to_thread(lambda: None)
        adapter.close()
        writer.transport.abort()
        async with black_hole(port):
            clock.advance(3600)
            for _ in range(BAD_SWEEPS_MAX):
                assert missing(await bridge.sweep(clock.utc_us(), SILENCE_S)) == {"grid"}
                clock.advance(60)
            assert bridge.health()[0].silent_since_us is not None
            await bridge.close()
