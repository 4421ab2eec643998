"""What ingest counts, for Prometheus, on a loopback port of its own. A shell.

A process counts for itself and has its own port (the first of them, and one more for each further process), so that
every figure says of which process it is and none is added up wrongly.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from firmware_bridge.port import port_error

HOST = "127.0.0.1"
# Seconds; the bar for a request is 2.
_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
# A scrape in progress is cut at the end.
_STOP_S_MAX = 1.0

Health = Callable[[], Awaitable[bool]]


class Metrics:
    """The figures of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "smartwatts_ingest_requests", "Requests answered", ["endpoint", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "smartwatts_ingest_request_seconds",
            "From the headers of a request to its answer",
            ["endpoint"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.refusals = Counter(
            "smartwatts_ingest_refusals", "Requests refused, by why", ["reason"], registry=self.registry
        )
        self.records = Counter(
            "smartwatts_ingest_records", "Records taken, new or sent again", ["outcome"], registry=self.registry
        )
        self.body_bytes = Counter(
            "smartwatts_ingest_body_bytes", "Bytes of bodies whose signature was right", registry=self.registry
        )
        self.suspects = Counter(
            "smartwatts_ingest_suspects", "Gateways found to be copied, perhaps", registry=self.registry
        )
        self.storing = Gauge("smartwatts_ingest_storing", "Batches being stored", registry=self.registry)
        self.waiting = Gauge("smartwatts_ingest_waiting", "Batches waiting for their turn", registry=self.registry)
        self.bodies_held = Gauge(
            "smartwatts_ingest_bodies_held_bytes", "Bytes of bodies in memory, as announced", registry=self.registry
        )
        self.connections = Gauge("smartwatts_ingest_connections", "Open connections", registry=self.registry)
        self.hangups = Counter(
            "smartwatts_ingest_hangups", "Connections ended unasked, by why", ["reason"], registry=self.registry
        )


@asynccontextmanager
async def serving_metrics(metrics: Metrics, is_healthy: Health, port: int) -> AsyncIterator[int]:
    """Serve `/metrics` and `/healthz` on loopback within the block; yields the port.

    Raises:
        SettingError: the port cannot be used; ConflictError when it is taken.
    """

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def get_health(_: web.Request) -> web.Response:
        if await is_healthy():
            return web.json_response({"status": "ok"})
        return web.json_response({"status": "database away"}, status=503)

    app = web.Application()
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/healthz", get_health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S_MAX)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except (OSError, OverflowError) as error:
            raise port_error(HOST, port, error, field="--metrics-port") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
