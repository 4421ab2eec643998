"""One process of an ingest: pool, door, listener and metrics, put together. A shell."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
from aiohttp import web
from psycopg_pool import TooManyRequests

from cloud_trainer.ingest.auth import Gatekeeper
from cloud_trainer.ingest.door import Door
from cloud_trainer.ingest.endpoints import Endpoints
from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.listener import Listener
from cloud_trainer.ingest.metrics import Health, Metrics, serving_metrics
from cloud_trainer.ingest.pool import Pool, connected, database_pool
from cloud_trainer.ingest.server_key import ServerKeys
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.clock import Clock, SystemClock

# What a stop waits for requests that are being answered.
_STOP_S_MAX = 2.0
# What a refused sender may go on sending before it is cut, seconds: it reads the answer first.
_LINGER_S_MAX = 5.0
# Who asks again sooner gets the same answer: strangers may ask, and the database has other things to do.
_HEALTH_S = 1.0


class Ports(NamedTuple):
    """Where an ingest listens, and under which address gateways know it."""

    port: int
    metrics_port: int | None
    public_url: str


@asynccontextmanager
async def listening(
    settings: Settings, *, limits: Limits | None = None, clock: Clock | None = None
) -> AsyncIterator[Ports]:
    """Serve until the block ends; a port that is 0 is chosen by the system.

    Raises:
        SettingError: a setting cannot be used, or the address is taken (ConflictError).
    """
    limits, clock = limits or Limits(), clock or SystemClock()
    settings.check()
    keys = ServerKeys.open(Path(settings.keys), clock.utc_us())
    tls = settings.tls()
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database_pool(settings.dsn, limits))
        is_healthy = _health(pool, clock)
        gatekeeper = Gatekeeper(pool, keys, limits, clock)
        endpoints = Endpoints(pool, gatekeeper, keys, limits, metrics, clock)
        door = Door(gatekeeper, endpoints, limits, metrics, clock, settings.proxies)
        runner = web.AppRunner(
            door.app(is_healthy),
            keepalive_timeout=limits.idle_s_max,
            lingering_time=_LINGER_S_MAX,
            shutdown_timeout=_STOP_S_MAX,
            auto_decompress=False,  # nothing a stranger sends is blown up before it is looked at
            access_log=None,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None, "set up just now"
        listener = Listener(runner.server, limits, metrics, clock, settings.proxies)
        server = await listener.listen(settings.host, settings.port, tls=tls, shares_port=settings.shares_port)
        # without waiting for its connections: the runner ends those
        stack.callback(server.close)
        metrics_port = None
        if settings.metrics_port is not None:
            metrics_port = await stack.enter_async_context(
                serving_metrics(metrics, is_healthy, settings.metrics_port)
            )
        port = int(server.sockets[0].getsockname()[1])
        door.public_url = settings.address(port)
        await server.start_serving()
        yield Ports(port, metrics_port, door.public_url)


def _health(pool: Pool, clock: Clock) -> Health:
    """Whether the database answers, asked at most once a second."""
    asked_s, answer = float("-inf"), False

    async def is_healthy() -> bool:
        nonlocal asked_s, answer
        if clock.monotonic_s() - asked_s >= _HEALTH_S:
            asked_s = clock.monotonic_s()
            try:
                async with connected(pool) as connection:
                    await connection.execute("SELECT 1")
                answer = True
            except (psycopg.OperationalError, TooManyRequests):
                answer = False
        return answer

    return is_healthy
