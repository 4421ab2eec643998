"""An event loop that a name server cannot hold up. A shell.

Looking a name up cannot be cancelled. asyncio does it in a pool of a few threads and waits for them at
the end: a router that lost its uplink, and answers no query, held up a gateway
that wanted to stop for seconds. Here each name has a thread of its own that nobody waits for.
"""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

_Question = tuple[Any, ...]


class LookupLoop(asyncio.SelectorEventLoop):
    """The usual loop, but for names; whoever asks for the same name again shares the lookup under way."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[_Question, asyncio.Future[list[Any]]] = {}

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """The addresses of `host`, as `socket.getaddrinfo` gives them.

        Raises:
            OSError: there is no such name, or nobody to tell it.
        """
        question = (host, port, family, type, proto, flags)
        if question not in self._lookups:
            self._lookups[question] = self.create_future()
            threading.Thread(target=self._look_up, args=(question,), name="lookup", daemon=True).start()
        return await asyncio.shield(self._lookups[question])

    def _look_up(self, question: _Question) -> None:
        found: list[Any] = []
        trouble: Exception | None = None
        try:
            found = socket.getaddrinfo(*question)
        except (OSError, ValueError) as error:  # a name that cannot be one is a UnicodeError
            trouble = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self.call_soon_threadsafe(self._settle, question, found, trouble)

    def _settle(self, question: _Question, found: list[Any], trouble: Exception | None) -> None:
        future = self._lookups.pop(question)
        if trouble is None:
            future.set_result(found)
        else:
            future.set_exception(trouble)
            future.exception()  # perhaps nobody waits any more
