"""Inference with a child process: asks the model host, counts its strikes, replaces it.

A forecast that does not come in time, or not at all, is None: the baseline speaks. A question never
waits for a host to start: `revive_for_ever` does that beside the tick. Strikes are counted where they
survive a restart; whoever counts them decides when a bundle has had its chances.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from gateway.contract.inputs import F32
from gateway.core.update import is_struck_out
from gateway.shell.bundle_files import ActiveBundle
from gateway.shell.host_process import HostError, ModelHost

log = logging.getLogger(__name__)


class Inference:
    """The bundle that is to answer, and the model host with it while one lives."""

    def __init__(self, deadline_s: float, strike: Callable[[], int], on_struck_out: Callable[[], None]) -> None:
        """`strike` counts a failure durably and gives the count; `on_struck_out` hears of the last one."""
        self._deadline_s = deadline_s
        self._strike = strike
        self._on_struck_out = on_struck_out
        self._host: ModelHost | None = None
        self._bundle: ActiveBundle | None = None
        self._is_silenced = False
        # A question and a switch take turns: an answer must come from the bundle that is named beside it.
        self._turn = asyncio.Lock()
        self._is_missed = asyncio.Event()

    @property
    def bundle(self) -> ActiveBundle | None:
        """What answers, or will as soon as its host has started."""
        return self._bundle

    async def use(self, bundle: ActiveBundle) -> None:
        """Switch to `bundle`: the new host is ready before the old one goes.

        Raises:
            HostError: the new host does not start; the old one stays.
        """
        host = ModelHost(bundle.path, self._deadline_s)
        await host.start()
        unused: ModelHost | None = host
        try:
            async with self._turn:
                unused, self._host, self._bundle, self._is_silenced = self._host, host, bundle, False
        finally:  # also when cancelled while it waits for its turn
            if unused is not None:
                await unused.close()

    async def insist(self, bundle: ActiveBundle) -> None:
        """Switch to `bundle` though its host may not start: that is a strike, and it is tried again."""
        try:
            await self.use(bundle)
        except HostError as error:
            async with self._turn:
                unused, self._host, self._bundle, self._is_silenced = self._host, None, bundle, False
                self._take_strike(error)
            if unused is not None:
                await unused.close()

    async def revive_for_ever(self) -> None:
        """Start a new host whenever one is missed.

        A host that was lost is replaced at once. One that does not start is tried again when the next
        question misses it: three tries within a minute could all meet one bad moment of the machine.
        """
        while True:
            await self._is_missed.wait()
            await self._revive()
            self._is_missed.clear()  # only now: questions that came meanwhile missed the same host

    async def forecast(self, name: str, inputs: Sequence[F32]) -> tuple[F32, str] | None:
        """What the model `name` says to `inputs`, and the digest of its bundle.

        None when it failed, which is a strike, or when the bundle has no such model, which is none.
        """
        async with self._turn:
            bundle = self._bundle
            if bundle is None or self._is_silenced:
                return None
            if self._host is None:
                self._is_missed.set()
                return None
            if name not in self._host.names:
                return None
            try:
                return await self._host.infer(name, inputs), bundle.digest
            except HostError as error:
                await self.close()
                if not self._take_strike(error):
                    self._is_missed.set()
                return None

    async def close(self) -> None:
        """End the host, if there is one."""
        host, self._host = self._host, None
        if host is not None:
            await host.close()

    async def _revive(self) -> None:
        bundle = self._bundle
        if bundle is None or not self._misses(bundle):
            return
        host = ModelHost(bundle.path, self._deadline_s)
        try:
            await host.start()
        except HostError as error:
            if self._misses(bundle):  # else it was switched meanwhile: not the new bundle's fault
                self._take_strike(error)
            return
        unused: ModelHost | None = host
        try:
            async with self._turn:
                if self._misses(bundle):
                    unused, self._host = None, host
        finally:  # also when cancelled while it waits for its turn
            if unused is not None:
                await unused.close()

    def _misses(self, bundle: ActiveBundle) -> bool:
        return self._bundle is bundle and self._host is None and not self._is_silenced

    def _take_strike(self, error: HostError) -> bool:
        """Count a failure; whether it was the last one."""
        strikes = self._strike()
        log.warning("model host failed: strikes=%d error=%s", strikes, error)
        if is_struck_out(strikes):
            self._is_silenced = True
            self._on_struck_out()
        return self._is_silenced
