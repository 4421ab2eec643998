"""A gateway's store, its way home and its meters, lived by hand: production parts in simulated time.

Beside it an ingest that is real, and knows it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psycopg

from cloud_trainer.ingest.app import listening
from cloud_trainer.ingest.limits import Limits, Rate
from cloud_trainer.ingest.server_key import ServerKeys
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.reading import UtcUs
from gateway.config import StoreConfig, SyncConfig
from gateway.contract.signatures import key_id
from gateway.core.upload_plan import Share
from gateway.shell.cloud_client import Cloud
from gateway.shell.http_exchange import open_session
from gateway.shell.identity import IdentityFolder
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.sync_client import SyncClient
from gateway.shell.timekeeper import Timekeeper
from tests.sim.arrival import Arrival, compare
from tests.sim.clock import START_US, SimClock
from tests.sim.enrolled import enrol
from tests.sim.logged_meters import PERIOD_US, LoggedMeters, read_given, read_kept

GATEWAY = "gw-1"
SYNC_S = 300.0
DEFAULT_LIMITS = StoreConfig()
_TRIES_MAX = 200


@dataclass
class ByHand:
    """What happens to it happens when a test says so."""

    clock: SimClock
    store: Store
    recorder: Recorder
    client: SyncClient
    meters: LoggedMeters

    async def read(self, blocks: int) -> None:
        """So many recording periods pass."""
        for _ in range(blocks):
            start_us = UtcUs(self.clock.utc_us() // PERIOD_US * PERIOD_US)
            self.clock.advance(PERIOD_US / 1e6)
            await self.recorder.write([self.meters.show(start_us)])
            self.meters.note_kept(start_us)

    async def bring_home(self) -> None:
        """Try, bring over what a file before held, and try again, until nothing waits."""
        for _ in range(_TRIES_MAX):
            while await self.store.mend(self.clock.utc_us()):
                pass
            wait_s = await self.client.upload()
            if self.store.queue.records == 0:
                return
            self.clock.advance(wait_s)
        raise AssertionError(f"{self.store.queue.records} records never came home: {self.client.state}")


@dataclass
class House:
    """The site, and the cloud it sends to."""

    folder: Path
    dsn: str
    url: str
    clock: SimClock

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @asynccontextmanager
    async def gateway(
        self, *, limits: StoreConfig = DEFAULT_LIMITS, share: Share = "aggregates"
    ) -> AsyncIterator[ByHand]:
        """One start of it."""
        clock = Timekeeper(self.clock)
        with LoggedMeters(self.folder, Random()) as meters:
            store = await Store.open(self.store, clock.utc_us(), limits=limits)
            try:
                recorder = Recorder(store, clock)
                await recorder.begin()
                async with open_session(None, 30.0) as session:
                    cloud = Cloud(self.url, IdentityFolder(self.store, GATEWAY), clock, session)
                    config = SyncConfig(self.url, SYNC_S, share=share)
                    client = SyncClient(config, GATEWAY, cloud, store, recorder, clock)
                    yield ByHand(self.clock, store, recorder, client, meters)
            finally:
                await store.close()

    def arrival(self) -> Arrival:
        """What came home of what was shown."""
        with psycopg.connect(self.dsn) as connection:
            return compare(connection, GATEWAY, read_given(self.folder), read_kept(self.folder))

    def generations(self) -> int:
        """How many lives of the store the cloud knows."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM generation").fetchone()
        assert row is not None
        return int(row[0])


@asynccontextmanager
async def enrolled_house(folder: Path, dsn: str, start_us: UtcUs = START_US) -> AsyncIterator[House]:
    """A house whose gateway the cloud knows; in simulated time it may send as often as it likes."""
    clock = SimClock(start_us)
    settings = Settings(dsn=dsn, keys=str(folder / "keys"), host="127.0.0.1", port=0)
    async with listening(settings, limits=Limits(gateway=Rate(1e9, 1e9))) as ports:
        house = House(folder, dsn, ports.public_url, clock)
        keys = ServerKeys.open(folder / "keys", clock.utc_us())
        public = enrol(house.store, GATEWAY, house.url, keys.public[0])
        with psycopg.connect(dsn) as connection:
            connection.execute("INSERT INTO gateway VALUES (%s, 'default', 'default')", (GATEWAY,))
            connection.execute(
                "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES (%s, %s, %s)",
                (GATEWAY, key_id(public), public),
            )
        yield house
