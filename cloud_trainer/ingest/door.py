"""HTTP in front of the endpoints: from a request to a signed answer. A shell."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import psycopg
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from psycopg_pool import TooManyRequests

from cloud_trainer.ingest.auth import Caller, Gatekeeper
from cloud_trainer.ingest.endpoints import Endpoints
from cloud_trainer.ingest.limits import Limits, ShareError, Shares, plain_address
from cloud_trainer.ingest.listener import connection_of
from cloud_trainer.ingest.metrics import Health, Metrics
from cloud_trainer.ingest.replies import Answer, RefusedError, away, busy
from firmware_bridge.clock import Clock
from gateway.contract.batches import GatewayId
from gateway.contract.enrolment import ENROL_PATH, NONCE_PATH, ROTATE_PATH, Nonce, encode_message
from gateway.contract.signatures import SignatureError, target_uri

log = logging.getLogger(__name__)

BATCHES_PATH, HEALTH_PATH = "/v1/batches", "/healthz"
PACKED, JSON = "application/msgpack", "application/json"

_Work = Callable[[Caller, web.Request], Awaitable[Answer]]
_WithBody = Callable[[bytes], Awaitable[Answer]]


class Door:
    """Reads what was sent within its limits, has it done, and signs what is answered."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        endpoints: Endpoints,
        limits: Limits,
        metrics: Metrics,
        clock: Clock,
        proxies: tuple[str, ...] = (),
    ) -> None:
        self._gatekeeper, self._endpoints = gatekeeper, endpoints
        self._limits, self._metrics, self._clock = limits, metrics, clock
        self._proxies = frozenset(map(plain_address, proxies))
        self._bodies = Shares(limits.bodies_bytes_max, limits.address_bodies_bytes_max)
        # what gateways call us; known once we listen
        self.public_url = ""

    def app(self, is_healthy: Health) -> web.Application:
        """The application of this door."""

        async def get_health(_: web.Request) -> web.Response:
            return _plain(Answer(HTTPStatus.OK, b'{"status":"ok"}') if await is_healthy() else _away().answer)

        app = web.Application(middlewares=[watch, _explain])
        app.router.add_get(NONCE_PATH, self._get_nonce)
        app.router.add_get(HEALTH_PATH, get_health)
        app.router.add_post(BATCHES_PATH, self._signed("batches", self._batch))
        app.router.add_post(ENROL_PATH, self._signed("enroll", self._enrolment))
        app.router.add_post(ROTATE_PATH, self._signed("rotate", self._rotation))
        return app

    async def _get_nonce(self, request: web.Request) -> web.Response:
        try:
            gateway = msgspec.convert(request.query.get("gateway", ""), GatewayId)
        except msgspec.ValidationError:
            return _plain(RefusedError(HTTPStatus.BAD_REQUEST, "headers", "no name of a gateway").answer)
        nonce = Nonce(self._gatekeeper.new_nonce(gateway))
        return _plain(Answer(HTTPStatus.OK, encode_message(nonce)))

    async def _batch(self, caller: Caller, request: web.Request) -> Answer:
        known = await self._gatekeeper.recognise(caller)

        async def store(body: bytes) -> Answer:
            self._gatekeeper.prove(caller, self._target(request), body, known)
            self._metrics.body_bytes.inc(len(body))
            return await self._endpoints.take_batch(caller, known, body)

        return await self._with_body(caller, request, PACKED, self._limits.batch_bytes_max, store)

    async def _rotation(self, caller: Caller, request: web.Request) -> Answer:
        known = await self._gatekeeper.recognise(caller)

        async def add_key(body: bytes) -> Answer:
            self._gatekeeper.prove(caller, self._target(request), body, known)
            return await self._endpoints.take_rotation(caller, known, body)

        return await self._with_body(caller, request, JSON, self._limits.message_bytes_max, add_key)

    async def _enrolment(self, caller: Caller, request: web.Request) -> Answer:
        self._gatekeeper.check_enrolment(caller)

        async def enrol(body: bytes) -> Answer:
            return await self._endpoints.take_enrolment(caller, body, self._target(request))

        return await self._with_body(caller, request, JSON, self._limits.message_bytes_max, enrol)

    def _signed(self, name: str, work: _Work) -> Handler:
        """The handler of an endpoint: whatever becomes of `work`, the answer is signed."""

        async def handle(request: web.Request) -> web.Response:
            began_s = self._clock.monotonic_s()
            try:
                caller = self._gatekeeper.caller(request.headers, self._address(request))
            except SignatureError as error:
                refused = RefusedError(HTTPStatus.BAD_REQUEST, "headers", str(error), "sign the request")
                self._metrics.refusals.labels(refused.reason).inc()
                return _plain(refused.answer)
            answer = await self._answer(work, caller, request)
            self._metrics.requests.labels(name, str(answer.status)).inc()
            self._metrics.seconds.labels(name).observe(self._clock.monotonic_s() - began_s)
            headers = answer.signed(
                caller.signer,
                nonce=caller.claimed.nonce,
                request=request.headers["Signature"],
                next_nonce=self._gatekeeper.new_nonce(caller.claimed.gateway, caller.used_us),
                time_us=self._clock.utc_us(),
            )
            return web.Response(status=answer.status, body=answer.body, headers=headers)

        return handle

    async def _answer(self, work: _Work, caller: Caller, request: web.Request) -> Answer:
        try:
            try:
                self._gatekeeper.check_nonce(caller)
                return await work(caller, request)
            except (psycopg.OperationalError, TooManyRequests, TimeoutError) as error:
                log.warning("database is away: error=%s", str(error).partition("\n")[0] or type(error).__name__)
                raise _away() from error
            except psycopg.DataError as error:
                log.exception("the database cannot hold a batch: gateway=%s", caller.claimed.gateway)
                raise RefusedError(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "content", "a record holds what cannot be kept"
                ) from error
            except psycopg.Error as error:
                log.exception("the database refuses what we do: gateway=%s", caller.claimed.gateway)
                raise RefusedError(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "fault", "a fault of the ingest", "its log says more"
                ) from error
        except RefusedError as refused:
            self._metrics.refusals.labels(refused.reason).inc()
            return refused.answer

    async def _with_body(
        self, caller: Caller, request: web.Request, content_type: str, bytes_max: int, work: _WithBody
    ) -> Answer:
        """Do `work` on the body, read within its limits of form, size and time."""
        if request.content_type != content_type:
            raise _type(f"content type {request.content_type:.80} is not {content_type}")
        if any(coding != "identity" for coding in request.headers.getall(hdrs.CONTENT_ENCODING, [])):
            raise _type("the body has a content encoding: its records are packed already")
        size = bytes_max if request.content_length is None else request.content_length
        if size > bytes_max:
            raise _size(bytes_max)
        try:
            with self._bodies.held(caller.address, size):
                self._metrics.bodies_held.set(self._bodies.taken)
                return await work(await self._read(request, size))
        except ShareError as error:
            raise busy("too many bodies at once") from error
        finally:
            self._metrics.bodies_held.set(self._bodies.taken)

    async def _read(self, request: web.Request, bytes_max: int) -> bytes:
        body = bytearray()
        deadline_s = self._limits.body_s_max(bytes_max)
        try:
            async with asyncio.timeout(deadline_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > bytes_max:
                        raise _size(bytes_max)
        except TimeoutError as error:
            problem = f"the body did not arrive within {deadline_s:.0f} s"
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "slow", problem, "send smaller batches") from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "content", "the body is cut short") from error
        return bytes(body)

    def _target(self, request: web.Request) -> str:
        return target_uri(self.public_url, request.rel_url.raw_path_qs)

    def _address(self, request: web.Request) -> str:
        """Where a request came from: a proxy of ours adds that as the last one it knows."""
        peer = request.remote or ""
        if plain_address(peer) not in self._proxies:
            return peer
        # it may add a line of its own below what a stranger wrote
        return request.headers.getall("X-Forwarded-For", [peer])[-1].rpartition(",")[2].strip()


@web.middleware
async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that it is being used."""
    connection = connection_of(request)
    if connection is None:
        return await handler(request)
    connection.request_began()
    may_stay = True
    try:
        response = await handler(request)
    finally:
        may_stay = connection.request_ended()
    if not may_stay:
        response.force_close()
    return response


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give aiohttp's own refusals the same shape as ours."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        return _plain(RefusedError(status, "headers", error.reason, "there is nothing else here").answer)


def _plain(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers())


def _type(error: str) -> RefusedError:
    return RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "type", error)


def _size(bytes_max: int) -> RefusedError:
    error = f"the body is larger than {bytes_max} bytes"
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size", error, "send smaller batches")


def _away() -> RefusedError:
    return away("the database cannot be reached")
