import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.config import StoreConfig
from gateway.shell.raw_request import FILE_NAME, LOOK_S, SECONDS_MAX, RawRequest, ask, decode_request, watch
from gateway.shell.store import Store
from tests.sim.clock import SimClock

NUMBERS = st.integers(-10, 2 * SECONDS_MAX)
NOW_US = UtcUs(1_780_000_000 * US_PER_S)


async def seen(folder: Path) -> list[tuple[UtcUs, UtcUs]]:
    """What a gateway on `folder` is asked to keep in two looks."""
    wanted: list[tuple[UtcUs, UtcUs]] = []
    clock = SimClock(NOW_US)

    def keep(from_us: UtcUs, to_us: UtcUs) -> bool:
        wanted.append((from_us, to_us))
        return True

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(folder, keep, clock))
        await clock.sleep_for(1.5 * LOOK_S)
        watching.cancel()
    return wanted


async def test_what_is_asked_is_taken_up_once(tmp_path: Path):
    store = await Store.open(tmp_path, NOW_US, limits=StoreConfig(folder=str(tmp_path)))
    try:
        ask(tmp_path, RawRequest(300, 60))
        assert await seen(tmp_path) == [(NOW_US - 300 * US_PER_S, NOW_US + 60 * US_PER_S)]
        assert not (tmp_path / FILE_NAME).exists()
        assert await seen(tmp_path) == []
    finally:
        await store.close()


async def test_without_a_gateway_there_is_nothing_to_keep(tmp_path: Path):
    with pytest.raises(SettingError, match="no gateway runs on it"):
        ask(tmp_path, RawRequest(1, 1))
    store = await Store.open(tmp_path, NOW_US)
    await store.close()
    with pytest.raises(SettingError, match="no gateway runs on it"):
        ask(tmp_path, RawRequest(1, 1))


async def test_a_file_that_is_none_of_ours_is_gone_and_asks_for_nothing(tmp_path: Path):
    (tmp_path / FILE_NAME).write_bytes(b"keep everything")
    assert await seen(tmp_path) == []
    assert not (tmp_path / FILE_NAME).exists()


@given(st.binary(max_size=60) | st.builds(b'{"before_s":%d,"after_s":%d}'.__mod__, st.tuples(NUMBERS, NUMBERS)))
def test_any_bytes_are_a_request_within_its_bounds_or_none(data: bytes):
    try:
        request = decode_request(data)
    except ValueError:
        return
    assert 0 <= request.before_s <= SECONDS_MAX
    assert 0 <= request.after_s <= SECONDS_MAX
