import asyncio

import pytest

from gateway.shell.stop_switch import StopSwitch

# Real seconds that nothing here takes.
PATIENT_S = 10.0


async def answer() -> int:
    return 42


async def test_what_is_waited_for_is_given():
    switch = StopSwitch()
    assert await switch.wait(answer(), grace_s=0.0) == 42
    assert not switch.is_pressed


async def test_a_wait_ends_with_the_stop():
    switch, never = StopSwitch(), asyncio.Event()
    async with asyncio.timeout(PATIENT_S), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(switch.wait(never.wait(), grace_s=0.0))
        asyncio.get_running_loop().call_soon(switch.press)
    assert waiting.result() is None


async def test_what_comes_within_the_grace_is_taken():
    switch, coming = StopSwitch(), asyncio.Event()

    def press() -> None:
        switch.press()
        asyncio.get_running_loop().call_soon(coming.set)

    asyncio.get_running_loop().call_soon(press)
    async with asyncio.timeout(PATIENT_S):
        assert await switch.wait(coming.wait(), grace_s=PATIENT_S) is True


async def test_a_wait_that_begins_after_the_stop_has_its_grace_too():
    switch, never = StopSwitch(), asyncio.Event()
    switch.press()
    async with asyncio.timeout(PATIENT_S):
        assert await switch.wait(never.wait(), grace_s=0.0) is None
        assert await switch.wait(answer(), grace_s=PATIENT_S) == 42


async def test_an_error_of_what_is_waited_for_goes_on_up():
    async def fail() -> None:
        raise ValueError

    switch = StopSwitch()
    with pytest.raises(ValueError):
        await switch.wait(fail(), grace_s=0.0)
