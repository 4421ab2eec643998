"""What a cloud, or whoever stands before it, may do to a batch instead of the honest thing.

Each is a `Fault` for `CloudServer.faults`. None of them may move a gateway's cursor, except where it is said.
"""

import gzip
import json
import socket
import struct

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_bridge.clock import SystemClock
from tests.sim.cloud_server import CloudServer, Exchange, Fault, honest

PORTAL = b"<html><body>Welcome to the hotel. Please log in.</body></html>"
# Thirty megabytes in thirty kilobytes.
GZIP_BOMB = gzip.compress(bytes(30_000_000), 9)
DRIP_S = 0.01


def lying(**changes: object) -> Fault:
    """Signed, and an acknowledgement for something else."""

    async def fault(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
        true = {"generation": exchange.batch["generation"], "acknowledged": exchange.last, "stored": 0}
        return cloud.sealed(exchange, 200, true | changes)

    return fault


def signed(status: int, said: object = None, **headers: str) -> Fault:
    """Nothing is committed, and the answer is the cloud's own."""

    async def fault(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
        return cloud.sealed(exchange, status, {"error": f"status {status}"} if said is None else said, **headers)

    return fault


def unsigned(status: int, body: bytes = PORTAL, **headers: str) -> Fault:
    """Nothing is committed: a portal, a proxy or a stranger answers."""

    async def fault(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return fault


async def unsigned_acknowledgement(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Word for word what the cloud would say, but nobody signed it, and nothing is committed."""
    said = {"generation": exchange.batch["generation"], "acknowledged": exchange.last, "stored": 1}
    return web.json_response(said)


async def wrong_signature(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Signed by somebody who calls himself the cloud."""
    true, cloud.key = cloud.key, Ed25519PrivateKey.generate()
    try:
        return await lying()(cloud, exchange)
    finally:
        cloud.key = true


async def wrong_name_of_key(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Signed by somebody else, under the name of the cloud's key."""
    false = await wrong_signature(cloud, exchange)
    true = await lying()(cloud, exchange)
    headers = dict(false.headers) | {"Signature-Input": true.headers["Signature-Input"]}
    return web.Response(status=200, body=_body_of(false), headers=_without_length(headers))


async def wrong_digest(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """A proxy changed a digit of the body."""
    true = await lying()(cloud, exchange)
    body = _body_of(true).replace(b'"stored": 0', b'"stored": 1')
    return web.Response(status=200, body=body, headers=_without_length(dict(true.headers)))


async def wrong_nonce(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """A right answer to another request, played again."""
    said = {"generation": exchange.batch["generation"], "acknowledged": exchange.last, "stored": 0}
    body = json.dumps(said).encode()
    return web.Response(
        status=200, body=body, headers=cloud.signed_headers(exchange.request, "another.nonce", 200, body)
    )


def wrong_status(status: int) -> Fault:
    """Signed for 200, and a proxy made another status of it."""

    async def fault(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
        true = await lying()(cloud, exchange)
        return web.Response(status=status, body=_body_of(true), headers=_without_length(dict(true.headers)))

    return fault


async def lose_the_reply(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Committed, and the connection is gone."""
    await honest(cloud, exchange)
    return await reset(cloud, exchange)


async def reset(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """RST."""
    transport = exchange.request.transport
    assert transport is not None
    # linger for no time: what is closed is reset
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    return web.Response()


async def half_a_reply(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Committed, and half of the answer arrives."""
    response, body = await _begin(cloud, exchange)
    await response.write(body[: len(body) // 2])
    assert exchange.request.transport is not None
    exchange.request.transport.close()
    return response


async def truncated_gzip(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Committed; a proxy packs the answer and loses its end."""
    true = await honest(cloud, exchange)
    packed = gzip.compress(_body_of(true))
    headers = _without_length(dict(true.headers)) | {"Content-Encoding": "gzip"}
    return web.Response(status=200, body=packed[: len(packed) // 2], headers=headers)


async def gzip_bomb(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """A page that is small on the wire alone."""
    return web.Response(body=GZIP_BOMB, headers={"Content-Encoding": "gzip"})


async def talk_for_ever(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """An answer without end."""
    response = web.StreamResponse()
    await response.prepare(exchange.request)
    while True:
        await response.write(b" " * 10_000)


async def stay_silent(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """The connection stands, and nothing comes until the other side has had enough."""
    while True:
        await SystemClock().sleep_for(DRIP_S)


async def drip(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Committed; a byte of the answer now and then, never done in time."""
    response, body = await _begin(cloud, exchange)
    for byte in body:
        await response.write(bytes([byte]))
        await SystemClock().sleep_for(DRIP_S)
    return response


def slow_link(bytes_max: int) -> Fault:
    """A batch above so many bytes does not get through before the deadline."""

    async def fault(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
        through = honest if len(exchange.body) <= bytes_max else stay_silent
        return await through(cloud, exchange)

    return fault


async def stale_nonce(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """The cloud does not know its nonces any more. The same batch comes again at once, with a new one."""
    cloud.forget_nonces()
    return cloud.sealed(exchange, 401, {"error": "this nonce is too old"})


async def conflict_in_the_middle(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """The cloud has other bytes from the middle record on: the file here is an old copy. A generation begins."""
    records = exchange.batch["records"]
    middle = records[len(records) // 2][0]
    if cloud.has_from(exchange, middle):
        return await honest(cloud, exchange)  # this gateway's own bytes are no other bytes
    said = {"error": "sent with other bytes", "hint": "", "conflict_from": middle}
    return cloud.sealed(exchange, 409, said)


async def restored(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """The cloud was put back from a backup with half of its rows; it commits, and asks for the rest again."""
    cloud.restore_to(len(cloud.rows) // 2)
    return await honest(cloud, exchange)


async def _begin(cloud: CloudServer, exchange: Exchange) -> tuple[web.StreamResponse, bytes]:
    true = await honest(cloud, exchange)
    body = _body_of(true)
    response = web.StreamResponse(headers=_without_length(dict(true.headers)) | {"Content-Length": str(len(body))})
    await response.prepare(exchange.request)
    return response, body


def _body_of(response: web.StreamResponse) -> bytes:
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return response.body


def _without_length(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in ("Content-Length", "Content-Type")}
