import asyncio

from firmware_bridge.clock import Clock
from firmware_bridge.reading import US_PER_S, UtcUs
from tests.sim.clock import START_US, SimClock


async def test_sleepers_wake_in_the_order_of_their_instants_whoever_asked_first():
    clock: Clock = SimClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps_s: float) -> None:
        for nap_s in naps_s:
            await clock.sleep_for(nap_s)
            woken.append((name, clock.monotonic_s()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("long", 3600))
        group.create_task(sleeper("short", 10, 10, 5000))
        group.create_task(sleeper("middle", 15))
    assert woken == [("short", 10), ("middle", 15), ("short", 20), ("long", 3600), ("short", 5020)]
    assert clock.utc_us() == START_US + 5020 * US_PER_S


async def test_a_sleep_into_the_past_ends_at_once():
    clock = SimClock()
    await clock.sleep_until(UtcUs(START_US - 1))
    assert clock.utc_us() == START_US


async def test_a_cancelled_sleeper_no_longer_holds_the_time():
    clock = SimClock()
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(clock.sleep_for(3600))
        await clock.sleep_for(5)
        sleeper.cancel()
    await clock.sleep_for(60)
    assert clock.monotonic_s() == 65
