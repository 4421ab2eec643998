"""Turns: a few at a time do what is dear, some more wait, and the rest is told to come again. A shell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.metrics import Metrics
from cloud_trainer.ingest.replies import busy


class Turns:
    """Who may unpack and store a batch, first come, first served."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._free = asyncio.Semaphore(limits.stores_max)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have a turn within the block.

        Raises:
            RefusedError: too many wait, or it took too long.
        """
        await self._wait()
        self._metrics.storing.inc()
        try:
            yield
        finally:
            self._metrics.storing.dec()
            self._free.release()

    async def _wait(self) -> None:
        if self._waiting >= self._limits.waiting_max:
            raise busy(f"{self._waiting} uploads wait already")
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            async with asyncio.timeout(self._limits.waiting_s_max):
                await self._free.acquire()
        except TimeoutError as error:
            raise busy(f"no turn within {self._limits.waiting_s_max:.0f} s") from error
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
