import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import gateway.shell.host_process
from firmware_bridge.clock import SystemClock
from gateway.core.update import STRIKES_MAX
from gateway.shell.bundle_files import ActiveBundle
from gateway.shell.host_process import HostError
from gateway.shell.inference import Inference
from gateway.shell.verified_bundle import read_bundle
from tests.sim.model_hosts import bundle_of, model_hosts
from tests.sim.starter_bundle import (
    MODEL_FILE,
    NAME,
    NAMES,
    STARTER,
    TOLERANCE,
    copy_starter,
    golden_case,
    rewrite_file,
)

pytestmark = pytest.mark.slow

INPUTS, WANTED = golden_case()
# Real seconds; a healthy child answers in a millisecond, also on a busy machine well within this.
PATIENT_S = 10.0
NO_MODEL = b"TFL3 but no model" * 10


def bundle_at(path: Path) -> ActiveBundle:
    return ActiveBundle(path, read_bundle(path).digest, 0, "installed")


FACTORY = bundle_at(STARTER)


def another_bundle(folder: Path) -> ActiveBundle:
    """The same model under another digest."""
    path = copy_starter(folder)
    rewrite_file(path, "card.md", b"another card")
    return bundle_at(path)


class Strikes:
    """Counts as the bundle files do, and hears of the last one."""

    def __init__(self) -> None:
        self.count = 0
        self.struck_out = 0

    def strike(self) -> int:
        self.count += 1
        return self.count

    def strike_out(self) -> None:
        self.struck_out += 1

    async def reach(self, count: int) -> None:
        """Return when there are so many."""
        async with asyncio.timeout(PATIENT_S):
            while self.count < count:
                await SystemClock().sleep_for(0.01)


@asynccontextmanager
async def inference(strikes: Strikes | None = None, deadline_s: float = PATIENT_S) -> AsyncIterator[Inference]:
    counted = strikes or Strikes()
    made = Inference(deadline_s, counted.strike, counted.strike_out)
    try:
        yield made
    finally:
        await made.close()
        assert model_hosts() == []


@asynccontextmanager
async def reviving(made: Inference) -> AsyncIterator[None]:
    """As the gateway does beside its tick."""
    async with asyncio.TaskGroup() as tasks:
        reviver = tasks.create_task(made.revive_for_ever())
        yield
        reviver.cancel()


async def answer_of(made: Inference) -> str:
    """The digest of the bundle that answers, once one does."""
    async with asyncio.timeout(PATIENT_S):
        while (answer := await made.forecast(NAME, INPUTS)) is None:
            await SystemClock().sleep_for(0.01)
    return answer[1]


async def a_host_that_starts() -> int:
    """The process id of a host as soon as there is one."""
    async with asyncio.timeout(PATIENT_S):
        while not (hosts := model_hosts()):
            await SystemClock().sleep_for(0.001)
    return hosts[0]


def bundle_that_does_not_load(folder: Path) -> ActiveBundle:
    path = copy_starter(folder)
    rewrite_file(path, MODEL_FILE, NO_MODEL)
    return bundle_at(path)


async def test_without_a_bundle_nothing_answers_and_nothing_is_wrong():
    strikes = Strikes()
    async with inference(strikes) as made:
        assert made.bundle is None
        assert await made.forecast(NAME, INPUTS) is None
    assert strikes.count == 0


async def test_the_answer_names_the_bundle_that_made_it(tmp_path):
    other = another_bundle(tmp_path)
    async with inference() as made:
        for bundle in (FACTORY, other, FACTORY):
            await made.use(bundle)
            assert made.bundle == bundle
            answer = await made.forecast(NAME, INPUTS)
            assert answer is not None
            assert answer[0] == pytest.approx(WANTED, abs=TOLERANCE)
            assert answer[1] == bundle.digest
        assert len(model_hosts()) == 1, "the old host has gone"


async def test_every_model_of_the_bundle_answers_and_one_that_it_lacks_is_no_strike():
    strikes = Strikes()
    async with inference(strikes) as made:
        await made.use(FACTORY)
        for name in (*NAMES, "weather", *NAMES):
            inputs, wanted = golden_case(name) if name in NAMES else (INPUTS, None)
            answer = await made.forecast(name, inputs)
            assert (answer is None) == (wanted is None)
            if answer is not None:
                assert answer[0].shape == wanted.shape
    assert strikes.count == 0


@pytest.mark.parametrize(("number", "deadline_s"), [(signal.SIGKILL, PATIENT_S), (signal.SIGSTOP, 1.0)])
async def test_a_host_that_fails_is_a_strike_and_a_new_one_answers_later_questions(number, deadline_s):
    strikes = Strikes()
    async with inference(strikes, deadline_s) as made:
        await made.use(FACTORY)
        (first,) = model_hosts()
        os.kill(first, number)
        assert await made.forecast(NAME, INPUTS) is None
        assert (strikes.count, strikes.struck_out) == (1, 0)
        assert model_hosts() == []
        async with reviving(made):
            assert await answer_of(made) == FACTORY.digest
        assert model_hosts() != [first]
    assert strikes.count == 1


async def test_a_question_never_starts_a_host():
    """It is asked within a tick, and the readings of the next must not wait for a slow card."""
    async with inference() as made:
        await made.use(FACTORY)
        os.kill(model_hosts()[0], signal.SIGKILL)
        assert await made.forecast(NAME, INPUTS) is None
        assert await made.forecast(NAME, INPUTS) is None
        assert model_hosts() == []


async def test_a_host_that_hangs_as_it_starts_keeps_no_question_waiting_and_no_stop():
    strikes = Strikes()
    async with inference(strikes) as made:
        await made.use(FACTORY)
        os.kill(model_hosts()[0], signal.SIGKILL)
        assert await made.forecast(NAME, INPUTS) is None
        async with reviving(made):
            host = await a_host_that_starts()
            os.kill(host, signal.SIGSTOP)
            assert await made.forecast(NAME, INPUTS) is None
            assert model_hosts() == [host], "it was not waited for"
        assert model_hosts() == [], "it ends with the service"
    assert strikes.count == 1, "one that was ended in order is no failure"


async def test_the_last_strike_is_told_once_and_the_bundle_is_asked_no_more():
    strikes = Strikes()
    async with inference(strikes) as made, reviving(made):
        await made.use(FACTORY)
        for count in range(1, STRIKES_MAX + 1):
            await answer_of(made)
            os.kill(model_hosts()[0], signal.SIGKILL)
            assert await made.forecast(NAME, INPUTS) is None
            assert strikes.count == count
        assert strikes.struck_out == 1
        assert await made.forecast(NAME, INPUTS) is None
        assert model_hosts() == []
        assert (strikes.count, strikes.struck_out) == (STRIKES_MAX, 1)


async def test_a_silenced_inference_speaks_again_with_the_next_bundle(tmp_path):
    strikes = Strikes()
    strikes.count = STRIKES_MAX - 1
    other = another_bundle(tmp_path)
    async with inference(strikes) as made:
        await made.use(FACTORY)
        os.kill(model_hosts()[0], signal.SIGKILL)
        assert await made.forecast(NAME, INPUTS) is None
        await made.use(other)
        answer = await made.forecast(NAME, INPUTS)
        assert answer is not None
        assert answer[1] == other.digest


async def test_a_bundle_that_does_not_start_leaves_the_old_one_at_work(tmp_path):
    strikes = Strikes()
    async with inference(strikes) as made:
        await made.use(FACTORY)
        with pytest.raises(HostError):
            await made.use(bundle_that_does_not_load(tmp_path))
        assert made.bundle == FACTORY
        assert await made.forecast(NAME, INPUTS) is not None
        assert len(model_hosts()) == 1
    assert strikes.count == 0


async def test_a_host_that_does_not_start_again_is_a_strike_for_each_question_that_missed_it(tmp_path):
    path = copy_starter(tmp_path)
    strikes = Strikes()
    async with inference(strikes) as made:
        await made.use(bundle_at(path))
        (path / MODEL_FILE).write_bytes(NO_MODEL)
        os.kill(model_hosts()[0], signal.SIGKILL)
        assert await made.forecast(NAME, INPUTS) is None
        async with reviving(made):
            await strikes.reach(STRIKES_MAX - 1)
            assert model_hosts() == [], "nobody asks, so it is not tried again"
            assert await made.forecast(NAME, INPUTS) is None
            await strikes.reach(STRIKES_MAX)
        assert (strikes.count, strikes.struck_out) == (STRIKES_MAX, 1)


async def test_a_bundle_that_is_insisted_on_takes_the_strike_and_speaks_once_its_host_starts(monkeypatch):
    strikes = Strikes()
    async with inference(strikes) as made:
        with monkeypatch.context() as slow_card:
            slow_card.setattr(gateway.shell.host_process, "START_S", 0.001)
            await made.insist(FACTORY)
        assert made.bundle == FACTORY
        assert strikes.count == 1
        async with reviving(made):
            assert await made.forecast(NAME, INPUTS) is None
            assert await answer_of(made) == FACTORY.digest
    assert strikes.count == 1


async def test_insisting_ends_the_old_host_even_when_the_new_one_does_not_start(tmp_path):
    new = bundle_that_does_not_load(tmp_path)
    async with inference() as made:
        await made.use(FACTORY)
        await made.insist(new)
        assert made.bundle == new
        assert await made.forecast(NAME, INPUTS) is None
        assert model_hosts() == []


async def test_a_switch_while_the_old_host_is_asked_is_no_strike_of_the_new_bundle(tmp_path):
    other = another_bundle(tmp_path)
    strikes = Strikes()
    async with inference(strikes, deadline_s=2.0) as made:
        await made.use(FACTORY)
        os.kill(model_hosts()[0], signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(made.forecast(NAME, INPUTS))
            await made.use(other)
        assert asked.result() is None
        answer = await made.forecast(NAME, INPUTS)
        assert answer is not None
        assert answer[1] == other.digest
        assert len(model_hosts()) == 1
    assert strikes.count == 1, "that of the old one"


async def test_a_switch_while_the_old_host_starts_again_never_mixes_the_two(tmp_path):
    """An answer under a digest that did not make it would be a lie in the records."""
    other = another_bundle(tmp_path)
    strikes = Strikes()
    async with inference(strikes) as made:
        await made.use(FACTORY)
        os.kill(model_hosts()[0], signal.SIGKILL)
        assert await made.forecast(NAME, INPUTS) is None
        async with reviving(made):
            old = await a_host_that_starts()
            os.kill(old, signal.SIGSTOP)
            await made.use(other)
            os.kill(old, signal.SIGCONT)  # now it is ready, and nobody's any more
            async with asyncio.timeout(PATIENT_S):
                while old in model_hosts():
                    await SystemClock().sleep_for(0.01)
            (host,) = model_hosts()
            assert bundle_of(host) == str(other.path)
            assert await answer_of(made) == other.digest
    assert strikes.count == 1


async def test_a_host_that_fails_to_start_after_a_switch_is_no_strike_of_the_new_bundle(tmp_path):
    other = another_bundle(tmp_path)
    strikes = Strikes()
    async with inference(strikes) as made:
        await made.use(FACTORY)
        os.kill(model_hosts()[0], signal.SIGKILL)
        assert await made.forecast(NAME, INPUTS) is None
        async with reviving(made):
            old = await a_host_that_starts()
            os.kill(old, signal.SIGSTOP)
            await made.use(other)
            os.kill(old, signal.SIGKILL)
            async with asyncio.timeout(PATIENT_S):
                while old in model_hosts():
                    await SystemClock().sleep_for(0.01)
            assert await answer_of(made) == other.digest
    assert strikes.count == 1, "that of the old one, when it was killed"


async def test_a_switch_that_is_cancelled_leaves_no_process_behind(tmp_path):
    other = another_bundle(tmp_path)
    async with inference() as made:
        await made.use(FACTORY)
        before = model_hosts()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await made.use(other)
        assert made.bundle == FACTORY
        assert model_hosts() == before


async def test_closing_twice_and_without_a_host_is_fine():
    async with inference() as made:
        await made.close()
        await made.use(FACTORY)
        await made.close()
        await made.close()
