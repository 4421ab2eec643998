"""A cloud that enrols gateways and loses answers on the way; for whoever tests the commands."""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.sim.cloud_server import CloudServer

Fault = Callable[[web.Request, web.StreamResponse], Awaitable[web.StreamResponse]]


class ClaimServer(CloudServer):
    """Does to the next answers to enrolments and rotations what `losses` say, one each, after the work is done."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Fault] = []

    async def _enroll(self, request: web.Request) -> web.StreamResponse:
        return await self._lost(request, await super()._enroll(request))

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        return await self._lost(request, await super()._rotate(request))

    async def _lost(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        return await self.losses.pop(0)(request, answer) if self.losses else answer


async def lose(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """The connection is gone."""
    assert request.transport is not None
    request.transport.abort()
    return answer


def say(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Somebody else's answer, unsigned."""

    async def fault(_: web.Request, __: web.StreamResponse) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return fault


def say_another_gateway(cloud: CloudServer) -> Fault:
    """The cloud itself answers for somebody else."""

    async def fault(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        nonce = re.search(r'nonce="([^"]*)"', request.headers["Signature-Input"])
        assert nonce is not None
        body = answer.body.replace(b'"gateway": "gw-1"', b'"gateway": "gw-2"')
        return web.Response(body=body, headers=cloud.signed_headers(request, nonce[1], 200, body))

    return fault


async def say_another_site(_: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """The cloud's answer, changed on its way: somebody in between."""
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    return web.Response(body=answer.body.replace(b'"site": "site"', b'"site": "evil"'), headers=headers)
