import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from firmware_bridge.lookup_loop import LookupLoop

# Far above what a busy machine needs.
PATIENCE_S = 20.0

T = TypeVar("T")


class MuteServer:
    """A name server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.answers = threading.Event()

    def getaddrinfo(self, *question: object) -> list[object]:
        self.asked.append(question[0])
        self.answers.wait(PATIENCE_S)
        return [question]


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch):
    server = MuteServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answers.set()


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        return runner.run(work)


def lookups() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lookup"]


async def ask_in_vain(name: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.get_running_loop().getaddrinfo(name, 502)


def test_names_and_numbers_are_looked_up():
    async def work() -> list[object]:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo("localhost", 502, family=socket.AF_INET, type=socket.SOCK_STREAM)

    assert [address for *_, address in run(work())] == [("127.0.0.1", 502)]


def test_a_name_that_is_none_is_an_error_of_the_system():
    async def work() -> None:
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1.1", 502, flags=socket.AI_NUMERICHOST)

    with pytest.raises(OSError, match="not known"):
        run(work())


def test_a_connection_is_made_by_name():
    async def work() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        writer.close()
        server.close()

    run(work())


def test_the_loop_ends_while_a_name_server_is_silent(mute: MuteServer):
    run(ask_in_vain("meter.example"))
    assert mute.asked == ["meter.example"]
    assert len(lookups()) == 1
    mute.answers.set()
    for thread in lookups():
        thread.join(PATIENCE_S)
    assert lookups() == []


def test_who_asks_again_shares_the_lookup_and_gets_its_answer(mute: MuteServer):
    async def work() -> list[object]:
        for _ in range(20):
            await ask_in_vain("meter.example")
        assert len(lookups()) == 1
        mute.answers.set()
        return await asyncio.get_running_loop().getaddrinfo("meter.example", 502)

    assert run(work()) == [("meter.example", 502, 0, 0, 0, 0)]
    assert mute.asked == ["meter.example"]
