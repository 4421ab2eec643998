import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from gateway.core.backoff import CAP_S, FLOOR_S
from gateway.shell.services import SETTLED_S, describe, keep_running
from tests.sim.clock import SimClock


class Work:
    """A service that does what a script says: an exception fails, a number runs that long, then fails."""

    def __init__(self, clock: SimClock, *script: Exception | float) -> None:
        self.clock = clock
        self.script = list(script)
        self.started_s: list[float] = []

    async def __call__(self) -> None:
        self.started_s.append(self.clock.monotonic_s())
        if not self.script:
            return
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        await self.clock.sleep_for(step)
        raise ConnectionError("ran, then broke")


async def test_a_failing_service_is_started_again_with_growing_delays():
    clock = SimClock()
    work = Work(clock, OSError("1"), OSError("2"), OSError("3"))
    await keep_running("sync", work, clock, uniform=lambda: 1.0)
    assert work.started_s == [0, 2, 6, 14]


async def test_the_delay_has_a_cap_and_starts_anew_after_a_long_good_run():
    clock = SimClock()
    work = Work(clock, *[OSError("down")] * 12, SETTLED_S)
    await keep_running("sync", work, clock, uniform=lambda: 1.0)
    delays_s = [b - a for a, b in itertools.pairwise(work.started_s)]
    assert max(delays_s[:-1]) == CAP_S
    assert delays_s[-1] == SETTLED_S + 2


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8))
def test_a_crash_loop_never_spins(drawn: list[float]):
    async def scenario() -> None:
        clock = SimClock()
        draws = iter(drawn)
        work = Work(clock, *[OSError("down")] * len(drawn))
        await keep_running("sync", work, clock, uniform=lambda: next(draws))
        assert all(round(b - a, 6) >= FLOOR_S for a, b in itertools.pairwise(work.started_s))

    asyncio.run(scenario())


async def test_the_log_tells_a_trouble_once_and_counts_its_repetitions(caplog):
    clock = SimClock()
    work = Work(clock, *[OSError("down")] * 5, ValueError("else"))
    heard: list[str] = []
    await keep_running("sync", work, clock, on_trouble=heard.append)
    assert [record.getMessage() for record in caplog.records] == [
        "service failed: service=sync repeated_before=0 trouble=OSError: down",
        "service failed: service=sync repeated_before=4 trouble=ValueError: else",
    ]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert heard == ["OSError: down"] * 5 + ["ValueError: else"]


@pytest.mark.parametrize("when", ["working", "waiting"])
async def test_cancellation_passes_through(when: str):
    clock = SimClock()
    reached = asyncio.Event()

    async def work() -> None:
        reached.set()
        if when == "waiting":
            raise OSError("down")
        await asyncio.Event().wait()

    async def cancel(task: asyncio.Task[None]) -> None:
        await reached.wait()
        task.cancel()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(keep_running("page", work, clock))
        group.create_task(cancel(task))
    assert task.cancelled()


async def test_a_wrong_setting_of_the_first_run_reaches_the_user():
    with pytest.raises(SettingError, match=r"page\.port"):
        await keep_running(
            "page", _raising(SettingError("page.port", "80", "is taken", "choose another")), SimClock()
        )


async def test_a_wrong_setting_later_is_a_trouble_like_others():
    clock = SimClock()
    work = Work(clock, OSError("down"), SettingError("page.port", "80", "is taken", "choose another"))
    await keep_running("page", work, clock)
    assert len(work.started_s) == 3


def test_a_group_is_described_by_its_first_leaf_on_one_short_line():
    inner = ExceptionGroup("inner", [ValueError("a\nb" + "x" * 1000)])
    line = describe(ExceptionGroup("outer", [inner, OSError("second")]))
    assert line.startswith("ValueError: a b")
    assert len(line) == 400


def _raising(error: Exception) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        raise error

    return work
