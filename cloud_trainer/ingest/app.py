"""The door for gateways: HTTP in front of `store_batch`. A shell.

Nothing is answered 200 before it is committed. Whatever else happens, the gateway keeps its records
and sends them again; so every refusal is cheap, says why, and leaves nothing half done.
"""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
from aiohttp import web
from aiohttp.typedefs import Handler
from psycopg_pool import AsyncConnectionPool, TooManyRequests

from cloud_trainer.ingest.db import Connection, OtherRecordError, store_batch
from firmware_bridge.errors import SettingError
from firmware_bridge.port import port_error
from gateway.contract.batches import BATCH_BYTES_MAX, decode_batch, encode_acknowledgement
from gateway.contract.records import RecordError

CONTENT_TYPE = "application/msgpack"
# A gateway sends every five minutes: 200 open connections serve thousands of them.
CONNECTIONS_MAX = 200
# Each request may hold a body of 4 MiB and what is decoded of it: some 500 MB at the very worst.
REQUESTS_MAX = 16
POOL_CONNECTIONS_MAX = 8
# Seconds a request waits for one of these: each is busy for well below a second.
POOL_S_MAX = 3.0
# Seconds for the body to arrive: 4 MiB at 1.7 Mbit/s. Gateways on slower lines send smaller batches.
BODY_S_MAX = 20.0
# Seconds for the database to take it; with the body this stays below a gateway's own deadline of 30 s.
STORE_S_MAX = 8.0
# A connection that is silent for so long is closed; gateways open a new one for each upload.
IDLE_S_MAX = 30.0
# What a stop waits for requests that are being answered.
STOP_S_MAX = 2.0
RETRY_AFTER_S = 30

_POOL = web.AppKey("pool", AsyncConnectionPool[Connection])
_IN_FLIGHT = web.AppKey("in_flight", asyncio.Semaphore)


def ingest_app(pool: AsyncConnectionPool[Connection]) -> web.Application:
    """The application on an open `pool`."""
    app = web.Application(client_max_size=BATCH_BYTES_MAX, middlewares=[_explain])
    app[_POOL] = pool
    app[_IN_FLIGHT] = asyncio.Semaphore(REQUESTS_MAX)
    app.router.add_post("/v1/batches", _post_batch)
    app.router.add_get("/healthz", _get_health)
    return app


@asynccontextmanager
async def listening(dsn: str, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port, chosen by the system when `port` is 0.

    Raises:
        SettingError: the address is not ours to give, or taken (ConflictError).
    """
    check_loopback(host)
    pool = AsyncConnectionPool[Connection](
        dsn,
        min_size=1,
        max_size=POOL_CONNECTIONS_MAX,
        max_waiting=REQUESTS_MAX,
        timeout=POOL_S_MAX,
        open=False,
        configure=_configure,
    )
    async with pool:
        app = ingest_app(pool)
        runner = web.AppRunner(
            app,
            keepalive_timeout=IDLE_S_MAX,
            shutdown_timeout=STOP_S_MAX,
            auto_decompress=False,  # nothing a stranger sends is blown up before it is looked at
            access_log=None,
        )
        await runner.setup()
        try:
            server = await _listen(runner, host, port)
            async with server:
                yield int(server.sockets[0].getsockname()[1])
        finally:
            await runner.cleanup()


def check_loopback(host: str) -> None:
    """Whoever reaches ingest can write any gateway's data, until gateways prove who they are.

    Raises:
        SettingError: `host` is not the loopback interface.
    """
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        problem = "is not the loopback interface, and gateways cannot prove who they are yet"
        raise SettingError("--host", host, problem, "use 127.0.0.1")


async def _post_batch(request: web.Request) -> web.Response:
    if request.content_type != CONTENT_TYPE:
        return _refuse(
            415, f"content type {request.content_type:.80} is not {CONTENT_TYPE}", "send a batch as msgpack"
        )
    if request.headers.get("Content-Encoding", "identity") != "identity":
        return _refuse(415, "the body has a content encoding", "send it plain: its records are packed already")
    in_flight = request.app[_IN_FLIGHT]
    if in_flight.locked():
        return _away(f"{REQUESTS_MAX} uploads are being stored already")
    async with in_flight:
        try:
            async with asyncio.timeout(BODY_S_MAX):
                body = await request.read()
        except TimeoutError:
            return _refuse(408, f"the body did not arrive within {BODY_S_MAX:.0f} s", "send smaller batches")
        return await _store(request.app[_POOL], body)


async def _store(pool: AsyncConnectionPool[Connection], body: bytes) -> web.Response:
    try:
        batch = decode_batch(body)
        async with asyncio.timeout(STORE_S_MAX), pool.connection() as connection:
            acknowledgement = await store_batch(connection, batch)
    except RecordError as error:
        return _refuse(400, str(error), "the body must be one batch of records")
    except OtherRecordError as error:
        return _refuse(409, str(error), "is the card a copy of another gateway's? give this one a new store folder")
    except TimeoutError:
        return _away("the database did not answer in time")
    except (psycopg.OperationalError, TooManyRequests):
        return _away("the database cannot be reached")
    return web.Response(body=encode_acknowledgement(acknowledgement), content_type="application/json")


async def _get_health(request: web.Request) -> web.Response:
    try:
        async with asyncio.timeout(STORE_S_MAX), request.app[_POOL].connection() as connection:
            await connection.execute("SELECT 1")
    except (TimeoutError, psycopg.OperationalError, TooManyRequests):
        return _away("the database cannot be reached")
    return web.json_response({"status": "ok"})


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give aiohttp's own refusals the same shape as ours."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return _refuse(413, f"the body is larger than {BATCH_BYTES_MAX} bytes", "send smaller batches")
    except web.HTTPException as error:
        return _refuse(error.status, error.reason, "POST /v1/batches and GET /healthz are all there is")


def _refuse(status: int, error: str, hint: str) -> web.Response:
    return web.Response(
        status=status, text=json.dumps({"error": error, "hint": hint}), content_type="application/json"
    )


def _away(error: str) -> web.Response:
    response = _refuse(503, error, f"nothing was stored; send it again in {RETRY_AFTER_S} s")
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


async def _configure(connection: Connection) -> None:
    """Whatever the server's defaults are: acknowledged means on its disk."""
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
    await connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{STORE_S_MAX:.0f}s",))
    await connection.commit()


async def _listen(runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
    assert runner.server is not None, "set up before"
    try:
        return await asyncio.get_running_loop().create_server(_capped(runner.server), host, port)
    except (OSError, OverflowError) as error:
        raise port_error(host, port, error) from error


def _capped(server: web.Server) -> Callable[[], asyncio.Protocol]:
    def protocol() -> asyncio.Protocol:
        return server() if len(server.connections) < CONNECTIONS_MAX else _Hangup()

    return protocol


class _Hangup(asyncio.Protocol):
    """For connections beyond the cap: closed at once, without a word and without memory."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]  # of a stream it is a WriteTransport
