"""Programs that are killed and begun again hundreds of times: a gateway and the processes of an ingest.

They are forked from a parent that has imported everything, for a start of Python takes longer than a life here. What
runs in them is production: store, sync client and cloud client on one side, the whole ingest on the other.
"""

import asyncio
import ctypes
import gc
import os
import secrets
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from cloud_trainer.ingest import endpoints
from cloud_trainer.ingest.app import listening
from cloud_trainer.ingest.limits import Limits, Rate
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.clock import ScaledClock
from firmware_bridge.reading import US_PER_S, UtcUs, floor_us
from gateway.config import StoreConfig, SyncConfig
from gateway.contract.batches import Batch
from gateway.core.upload_reply import Event, Heard
from gateway.shell.cloud_client import Cloud
from gateway.shell.http_exchange import open_session
from gateway.shell.identity import IdentityFolder
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.sync_client import SyncClient
from gateway.shell.timekeeper import Timekeeper
from tests.sim.announced import Herald
from tests.sim.logged_meters import PERIOD_US, LoggedMeters

# A second is an hour: a block every 17 ms, an upload five blocks later, a look at what is old every second.
RATE = 3600.0
START_US = UtcUs(1_735_689_600 * US_PER_S)  # 2025-01-01
GATEWAY = "gw-mortal"
SYNC_S, TIMEOUT_S = 300.0, 10.0
# What is at home is deleted at the next look.
LIMITS = StoreConfig(keep_acknowledged_days=0, keep_forecasts_days=0)
# A gateway sends a month of batches within minutes.
INGEST_LIMITS = Limits(gateway=Rate(1e9, 1e9), failures=Rate(1e9, 1e9))
BEFORE_STORE, IN_STORE, AFTER_STORE = "before the store of a batch", "in the store of a batch", "before the reply"
LISTENS = b"listens"
STOP_S_MAX = 60.0

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Site:
    """Where everything is."""

    folder: Path
    url: str
    client: str = "production"

    @property
    def store(self) -> Path:
        return self.folder / "gateway"

    @property
    def clock(self) -> ScaledClock:
        return ScaledClock(self.folder / "clock")


class Child:
    """A forked process and the line to it."""

    def __init__(self, life: Callable[[Herald], Awaitable[None]]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            _live(life, theirs)
        theirs.close()
        self.channel = ours

    def kill(self) -> None:
        """As by a power cut of this process alone.

        Raises:
            AssertionError: it had ended by itself.
        """
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.channel.close()
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "it ended by itself: see its traceback"

    def wait(self) -> None:
        """For its orderly end."""
        _, status = os.waitpid(self.pid, 0)
        self.channel.close()
        assert os.waitstatus_to_exitcode(status) == 0, "it failed: see its traceback"


def _live(life: Callable[[Herald], Awaitable[None]], channel: socket.socket) -> None:
    """The whole life of a child; never returns."""
    code = 1
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # should the campaign be ended, nobody is left
        gc.freeze()
        asyncio.run(life(Herald(channel)))  # type: ignore[arg-type]
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


class HastyClient(SyncClient):
    """Takes what it sends for sent: of a batch that never arrives nothing is left."""

    async def _post(self, batch: Batch, body: bytes) -> Heard:
        await self._store.acknowledge(batch.records[-1].sequence)
        return await super()._post(batch, body)


class RestlessClient(SyncClient):
    """Sends again under another name what it heard no answer to: what had arrived is there twice."""

    async def _post(self, batch: Batch, body: bytes) -> Heard:
        heard = await super()._post(batch, body)
        if heard.event is Event.NO_ANSWER:
            await self._store.begin_generation(batch.records[0].sequence, self._clock.utc_us())
        return heard


CLIENTS = {"production": SyncClient, "hasty": HastyClient, "restless": RestlessClient}


def gateway_life(site: Site, *, drains: bool = False) -> Callable[[Herald], Awaitable[None]]:
    """A gateway: reads, stores, deletes, sends, until it is killed; one that `drains` only sends, and ends."""

    async def live(herald: Herald) -> None:
        clock = Timekeeper(site.clock)
        store = await Store.open(site.store, clock.utc_us(), limits=LIMITS, connect=herald.connect)
        recorder = Recorder(store, clock)
        await recorder.begin()
        async with open_session(None, TIMEOUT_S) as session:
            herald.listen(session)
            folder = IdentityFolder(site.store, GATEWAY)
            instance = secrets.token_hex(8)  # forked, all would have one
            cloud = Cloud(site.url, folder, clock, session, timeout_s=TIMEOUT_S, instance=instance)
            config = SyncConfig(site.url, SYNC_S, TIMEOUT_S)
            client = CLIENTS[site.client](config, GATEWAY, cloud, store, recorder, clock)
            if drains:
                async with asyncio.timeout(STOP_S_MAX):
                    while store.queue.records:
                        await clock.sleep_for(await client.upload())
            else:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_read(site, recorder, clock))
                    tasks.create_task(client.run())
                    tasks.create_task(store.tend(clock))
        await store.close()

    return live


async def _read(site: Site, recorder: Recorder, clock: Timekeeper) -> None:
    """A block a minute, for ever; none for the minute in which it was begun."""
    start_us = floor_us(clock.utc_us(), PERIOD_US) + PERIOD_US
    with LoggedMeters(site.folder, Random()) as meters:
        while True:
            await clock.sleep_until(UtcUs(start_us + PERIOD_US))
            await recorder.write([meters.show(UtcUs(start_us))])
            meters.note_kept(UtcUs(start_us))
            start_us = max(start_us + PERIOD_US, floor_us(clock.utc_us(), PERIOD_US))


def ingest_life(settings: Settings) -> Callable[[Herald], Awaitable[None]]:
    """A process of an ingest, until it is killed; says once that it listens."""

    async def live(herald: Herald) -> None:
        store_batch = endpoints.store_batch

        async def announced(*arguments: Any, **options: Any) -> Any:
            herald.reach(BEFORE_STORE)
            herald.reach(IN_STORE)
            acknowledgement = await store_batch(*arguments, **options)
            herald.reach(AFTER_STORE)
            return acknowledgement

        endpoints.store_batch = announced
        async with listening(settings, limits=INGEST_LIMITS):
            herald.say(LISTENS)
            await asyncio.get_running_loop().create_future()

    return live
