"""Builds every part once, runs them in one TaskGroup, and takes them down in order.

Essential: the tick with bus and store. When it fails the process ends and systemd starts it anew.
Optional: upload, updates, the page. They run in `keep_running` and never touch the readings.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import open_clock
from gateway import SOFTWARE
from gateway.config import Config
from gateway.contract.records import StatusRecord
from gateway.loop import Loop
from gateway.shell import durable, raw_request
from gateway.shell.cloud_client import Cloud
from gateway.shell.counter_file import CounterFile, read_counters
from gateway.shell.http_exchange import open_session
from gateway.shell.identity import IdentityFolder
from gateway.shell.model_service import ModelService
from gateway.shell.notify import Notifier
from gateway.shell.recorder import Recorder
from gateway.shell.services import keep_running
from gateway.shell.status_page import serve
from gateway.shell.store import Store
from gateway.shell.sync_client import SyncClient
from gateway.shell.timekeeper import Timekeeper
from gateway.shell.track_file import TrackFile
from gateway.status import status_tree

log = logging.getLogger(__name__)

# An orderly stop is over in 5 s: neither systemd nor an installer at the mains switch waits longer. The
# tick may take one of them, and the rest is for a busy machine.
LAST_UPLOAD_S_MAX = 2.5


class App:
    """The gateway: its parts, and the one way up and down."""

    def __init__(self, config: Config, config_file: Path, port_file: Path | None) -> None:
        """`config_file` is handed to the updater; the page's port is written to `port_file`."""
        self._config, self._config_file, self._port_file = config, config_file, port_file
        self._clock = Timekeeper(open_clock(None if config.clock is None else Path(config.clock.origin)))
        self._folder = Path(config.store.folder)
        counters = read_counters(self._folder)
        self._bridge = Bridge(config.buses, config.meters, self._clock, config.profile_folders, counters)
        self._counters = CounterFile(self._folder, self._bridge, self._clock)
        self._notifier = Notifier()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            SettingError: something in the configuration cannot work on this machine.
        """
        config, clock, folder = self._config, self._clock, self._folder
        async with AsyncExitStack() as parts:
            parts.callback(self._notifier.close)
            parts.push_async_callback(self._bridge.close)
            self._store = await Store.open(folder, clock.utc_us(), limits=config.store)
            parts.push_async_callback(self._store.close)
            self._recorder = Recorder(self._store, clock)
            await self._recorder.begin()
            self._models = ModelService(folder / "models", config.model.deadline_s, self._recorder, clock)
            parts.push_async_callback(self._models.close)
            self._sync = await self._open_sync(parts)
            self._loop = Loop(
                config,
                clock=clock,
                bridge=self._bridge,
                store=self._store,
                recorder=self._recorder,
                inference=self._models.inference,
                alive=self._notifier.alive,
            )
            self._tracks = TrackFile(folder, self._loop.forecaster.tracks, clock)
            await self._start()
            await self._run_all()
            await self._record("stopped")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._counters.finish())
                tasks.create_task(self._tracks.finish())
                tasks.create_task(self._models.close())  # a host that hangs takes its time too
                tasks.create_task(self._upload_once_more())

    async def _open_sync(self, parts: AsyncExitStack) -> SyncClient | None:
        """The way home; None when the site has none."""
        if (sync := self._config.sync) is None:
            return None
        site, clock = self._config.site, self._clock
        session = await parts.enter_async_context(open_session(sync.ca_file, sync.timeout_s))
        identity = IdentityFolder(self._folder, site.gateway_id)
        cloud = Cloud(sync.url, identity, clock, session, timeout_s=sync.timeout_s)
        zone = ZoneInfo(site.time_zone)
        return SyncClient(sync, site.gateway_id, cloud, self._store, self._recorder, clock, zone=zone)

    async def _start(self) -> None:
        """Remember what was known and learnt, load the models, and say that we are here."""
        await self._loop.restore()
        self._tracks.restore()
        await self._models.start()
        await self._record("started")
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        self._notifier.ready(self._config.record.poll_period_s)
        log.info("gateway runs: meters=%d generation=%s", len(self._config.meters), self._store.generation[:12])

    async def _run_all(self) -> None:
        """The tick, and the optional services around it: they end when it ends."""
        async with asyncio.TaskGroup() as tasks:
            services = [
                tasks.create_task(keep_running(name, work, self._clock), name=name)
                for name, work in self._services().items()
            ]
            await self._loop.run()
            for service in services:
                service.cancel()

    def _services(self) -> dict[str, Callable[[], Awaitable[None]]]:
        services: dict[str, Callable[[], Awaitable[None]]] = {
            "strikes": self._models.watch_strikes,
            "model host": self._models.inference.revive_for_ever,
            "counters": self._counters.keep_for_ever,
            "tracks": self._tracks.keep_for_ever,
            "store": lambda: self._store.tend(self._clock),
            "raw requests": lambda: raw_request.watch(self._folder, self._loop.request_raw, self._clock),
        }
        if (page := self._config.page) is not None:
            services["page"] = lambda: serve(self._status, page.host, page.port, on_listening=self._announce)
        if self._sync is not None:
            services["sync"] = self._sync.run
        if (update := self._config.update) is not None:
            services["update"] = lambda: self._models.check_for_ever(update, self._config_file)
        return services

    def _stop(self) -> None:
        self._notifier.stopping()
        self._loop.stop()

    def _status(self) -> dict[str, Any]:
        sync = None if self._sync is None else self._sync.state
        return status_tree(self._config, self._clock, self._loop, self._bridge, self._models, self._store.queue, sync)

    def _announce(self, port: int) -> None:
        assert self._config.page is not None
        log.info("the page is at http://%s:%d/", self._config.page.host, port)
        if self._port_file is not None:
            durable.write_atomically(self._port_file, str(port).encode())

    async def _record(self, event: Literal["started", "stopped"]) -> None:
        bundle = self._models.inference.bundle
        detail = "no model" if bundle is None else f"bundle {bundle.digest}"
        await self._recorder.write([StatusRecord(self._clock.utc_us(), event, SOFTWARE, detail)])

    async def _upload_once_more(self) -> None:
        """What the last minutes brought; if the cloud is slow it stays here, as safe as before."""
        if self._sync is None:
            return
        try:
            async with asyncio.timeout(LAST_UPLOAD_S_MAX):
                await self._sync.finish()
        except TimeoutError:
            log.info("records are kept for the next start: records=%d", self._store.queue.records)
