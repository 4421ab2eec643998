import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.listener import Listener
from firmware_bridge.meter import Meter
from tests.firmware_bridge.frames import golden
from tests.sim.clock import SimClock

LONG_S = 30.0
# The body of golden.SENSOR_JSON names sensor 7.
SENDER, OTHER = 7, 8


@asynccontextmanager
async def listening(unit: int) -> AsyncIterator[tuple[Meter, Listener, asyncio.StreamWriter]]:
    """A meter that waits for the frames of sensor `unit`, its line, and the sensor's end of it."""
    connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: connections.put_nowait(writer), "127.0.0.1", 0)
    bus = BusConfig("shed", f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", LONG_S, protocol="sensor")
    meter = Meter(MeterConfig("air", "shed", unit, "serial_sensor"), load_profile("serial_sensor"))
    line = Listener(bus, [meter], SimClock())
    await sweep(meter, line)
    writer = await connections.get()
    try:
        yield meter, line, writer
    finally:
        line.close()
        writer.transport.abort()
        server.close()
        await server.wait_closed()


async def sweep(meter: Meter, line: Listener) -> None:
    clock = SimClock()
    await line.sweep(clock.utc_us(), LONG_S)
    meter.end_sweep(clock.utc_us())


async def error_of(meter: Meter, line: Listener, without: str) -> str:
    """What is said of the meter when it is no longer that."""
    async with asyncio.timeout(LONG_S):
        while without in meter.health().last_error:
            await sweep(meter, line)
            await asyncio.to_thread(lambda: None)
    return meter.health().last_error


async def test_a_line_that_is_open_and_mute_is_told_from_one_that_is_not_there():
    async with listening(SENDER) as (meter, _, _):
        assert meter.health().last_error == "not heard: no frame came: bus=shed"


async def test_frames_that_are_refused_are_counted_in_the_error():
    async with listening(SENDER) as (meter, line, writer):
        writer.write(b"\x05abcd\x00" + golden.SENSOR_JSON[:-2] + b"\x01\x00")
        assert "was refused: " in await error_of(meter, line, "no frame came")


async def test_frames_of_another_sensor_are_named_with_their_sender():
    async with listening(OTHER) as (meter, line, writer):
        writer.write(golden.SENSOR_JSON)
        assert await error_of(meter, line, "no frame came") == "not heard: frames came from 7: bus=shed"
