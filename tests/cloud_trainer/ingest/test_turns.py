import asyncio

import pytest

from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.metrics import Metrics
from cloud_trainer.ingest.replies import RefusedError
from cloud_trainer.ingest.turns import Turns


async def test_a_few_at_a_time_and_the_others_in_their_order() -> None:
    turns, order, at_once = Turns(Limits(stores_max=2), Metrics()), [], []

    async def work(number: int) -> None:
        async with turns.turn():
            at_once.append(number)
            assert len(at_once) <= 2
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            order.append(number)
            at_once.remove(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(work(number))
    assert sorted(order) == list(range(20))


async def test_beyond_those_who_may_wait_everybody_is_told_to_come_again() -> None:
    metrics = Metrics()
    turns = Turns(Limits(stores_max=1, waiting_max=1), metrics)

    async def wait() -> None:
        async with turns.turn():
            pass

    async with asyncio.TaskGroup() as group:
        async with turns.turn():
            waiting = group.create_task(wait())
            while metrics.registry.get_sample_value("smartwatts_ingest_waiting") != 1:
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            with pytest.raises(RefusedError, match="1 uploads wait already"):
                await wait()
        await waiting
    assert metrics.registry.get_sample_value("smartwatts_ingest_storing") == 0
    assert metrics.registry.get_sample_value("smartwatts_ingest_waiting") == 0


async def test_nobody_waits_for_ever() -> None:
    turns = Turns(Limits(stores_max=1, waiting_s_max=0.01), Metrics())
    async with turns.turn():
        with pytest.raises(RefusedError, match="no turn within") as raised:
            async with turns.turn():
                pytest.fail("it is taken")
    assert raised.value.answer.status == 503
    async with turns.turn():
        pass


async def test_a_turn_is_given_back_whatever_happens() -> None:
    turns = Turns(Limits(stores_max=1), Metrics())
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with turns.turn():
                raise ZeroDivisionError
