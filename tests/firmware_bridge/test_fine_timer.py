import asyncio
import os
from pathlib import Path

import pytest

from firmware_bridge.fine_timer import FineTimer


@pytest.fixture
async def timer():
    timer = FineTimer()
    yield timer
    timer.close()


@pytest.mark.parametrize("duration_s", [-1.0, 0.0, 1e-9, 0.0012])
async def test_it_waits_as_long_as_asked_at_least(timer: FineTimer, duration_s: float):
    loop = asyncio.get_running_loop()
    for _ in range(3):
        start_s = loop.time()
        await timer.wait(duration_s)
        assert loop.time() >= start_s + duration_s


async def test_what_has_come_meanwhile_was_heard(timer: FineTimer):
    reader, writer = os.pipe()
    heard = []
    asyncio.get_running_loop().add_reader(reader, lambda: heard.append(os.read(reader, 9)))
    os.write(writer, b"x")
    await timer.wait(0.0)
    assert heard == [b"x"]
    asyncio.get_running_loop().remove_reader(reader)
    os.close(reader)
    os.close(writer)


async def test_a_wait_that_was_broken_off_does_not_shorten_the_next(timer: FineTimer):
    loop = asyncio.get_running_loop()
    for first_s in (0.0, 30.0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(-1):
                await timer.wait(first_s)
        start_s = loop.time()
        await timer.wait(0.002)
        assert loop.time() >= start_s + 0.002


async def test_it_leaves_no_descriptor():
    before = _descriptors()
    for _ in range(3):
        timer = FineTimer()
        await timer.wait(0.0)
        timer.close()
        timer.close()
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
