"""The cloud, as a gateway sees it: real HTTP on loopback, signed replies, and everything it was sent, kept.

It shares no code with gateway or ingest: signatures, batches and records are read here by a few lines of their
own, so that an error both sides agree on shows. `faults` says what it does to the next batches instead of the
honest thing; tests/sim/cloud_faults.py has them.
"""

import asyncio
import base64
import hashlib
import itertools
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

BATCHES, ENROLL, ROTATE, NONCE = "/v1/batches", "/v1/enroll", "/v1/rotate", "/v1/nonce"
# 2026-01-01: what it takes for the time, in every reply
TIME_US = 1_767_225_600_000_000

REQUEST_COMPONENTS = ["@method", "@target-uri", "content-digest", "smartwatts-gateway", "smartwatts-instance"]
REPLY_COMPONENTS = ["@status", "content-digest", "smartwatts-time", "smartwatts-nonce"]
# of the request that is answered
ANSWERED = '"signature";req'

Key = tuple[str, str, int]
Fault = Callable[["CloudServer", "Exchange"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Exchange:
    """A request whose signature is right, and what an answer to it has to carry."""

    request: web.Request
    body: bytes
    gateway: str
    nonce: str

    @property
    def batch(self) -> dict[str, Any]:
        """The body as it is on the wire: gateway, generation, acknowledged, records of [sequence, stamp, bytes]."""
        batch: dict[str, Any] = msgspec.msgpack.decode(self.body)
        return batch

    @property
    def last(self) -> int:
        """The last sequence that was sent."""
        last: int = self.batch["records"][-1][0]
        return last


class RefusedError(Exception):
    """An honest answer that is no acknowledgement."""

    def __init__(self, status: int, error: str, **more: object) -> None:
        super().__init__(error)
        self.status, self.said = status, {"error": error, "hint": "", "conflict_from": None} | more


class CloudServer:
    """An ingest that commits, then answers."""

    def __init__(self) -> None:
        self.organisation = "org"
        self.url = ""
        self.key = Ed25519PrivateKey.generate()
        self.time_us = TIME_US
        # code -> the name of the key that used it
        self.claims: dict[str, str | None] = {}
        # gateway -> name of a key -> its public key
        self.gateways: dict[str, dict[str, bytes]] = {}
        self.revoked: set[str] = set()
        # bodies of records that are refused, with the batch they come in
        self.poisoned: set[bytes] = set()
        # what is done to the next batches, one each
        self.faults: list[Fault] = []
        # every batch whose signature was right, and what of it is committed, in the order of its coming
        self.batches: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.rows: dict[Key, bytes] = {}
        # how far it has everything, by gateway and generation
        self.complete: dict[tuple[str, str], int] = {}
        self.instances: list[str] = []
        self.paths: list[str] = []
        self.received = asyncio.Event()
        # how many rows there were, and how far everything was there, after each batch
        self._backups: list[tuple[int, dict[tuple[str, str], int]]] = [(0, {})]
        self._nonces: set[str] = set()
        self._counter = itertools.count(1)

    # --- what tests do ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        """Serve within the block; gives the port."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_get(NONCE, self._give_nonce)
        app.router.add_post(BATCHES, self._take_batch)
        app.router.add_post(ENROLL, self._enroll)
        app.router.add_post(ROTATE, self._rotate)
        app.router.add_route("*", "/{any:.*}", self._wonder)
        runner = web.AppRunner(app, handler_cancellation=True)  # a client that leaves ends its request
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            port = runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{port}"
            yield port
        finally:
            await runner.cleanup()

    @property
    def public(self) -> bytes:
        """The key that its replies are signed with."""
        return self.key.public_key().public_bytes_raw()

    def know(self, gateway: str, public: bytes) -> None:
        """Enrol a gateway without a word on the wire."""
        self.gateways.setdefault(gateway, {})[key_name(public)] = public

    def forget_nonces(self) -> None:
        """As after a restart with another secret."""
        self._nonces.clear()

    def restore_to(self, rows: int) -> None:
        """Be put back from the last backup, one is made with each batch, that has at most so many rows."""
        while self._backups[-1][0] > rows:
            self._backups.pop()
        count, complete = self._backups[-1]
        self.rows, self.complete = dict(list(self.rows.items())[:count]), dict(complete)

    def records(self) -> list[list[Any]]:
        """What was committed, unpacked, in the order of its coming; the first field is the kind."""
        return [msgspec.msgpack.decode(zlib.decompress(body)) for body in self.rows.values()]

    def kinds_seen(self) -> set[str]:
        """The kinds of all records that ever came, committed or not."""
        bodies = [body for batch in self.batches for _, _, body in batch["records"]]
        return {msgspec.msgpack.decode(zlib.decompress(body))[0] for body in bodies}

    # --- what faults are made of ------------------------------------------------------------------------------

    def commit(self, exchange: Exchange) -> dict[str, Any]:
        """Take a batch whole or not at all; what to answer.

        Raises:
            RefusedError: a record in it is poisoned, or there already with other bytes.
        """
        batch = exchange.batch
        whose = (batch["gateway"], batch["generation"])
        for sequence, _, body in batch["records"]:
            if body in self.poisoned:
                raise RefusedError(422, f"record {sequence} is not as it should be")
            if self.rows.get((*whose, sequence), body) != body:
                raise RefusedError(409, f"{sequence} was sent with other bytes", conflict_from=sequence)
        before = len(self.rows)
        self.rows |= {(*whose, sequence): body for sequence, _, body in batch["records"]}
        complete = self.complete.get(whose, 0)
        is_behind = batch["acknowledged"] > complete
        if not is_behind:
            self.complete[whose] = max(complete, exchange.last)
        self._backups.append((len(self.rows), dict(self.complete)))
        return {
            "generation": batch["generation"],
            "acknowledged": exchange.last,
            "stored": len(self.rows) - before,
            "resume_after": complete if is_behind else None,
        }

    def has_from(self, exchange: Exchange, first: int) -> bool:
        """Whether a record from that sequence on is here, in the generation of the batch."""
        whose = (exchange.gateway, exchange.batch["generation"])
        return any(sequence >= first for *owner, sequence in self.rows if tuple(owner) == whose)

    def sealed(self, exchange: Exchange, status: int, said: object, **headers: str) -> web.Response:
        """The signed answer."""
        body = json.dumps(said).encode()
        head = self.signed_headers(exchange.request, exchange.nonce, status, body)
        return web.Response(status=status, body=body, headers=head | headers, content_type="application/json")

    def signed_headers(self, request: web.Request, nonce: str, status: int, body: bytes) -> dict[str, str]:
        """What proves that `body` is ours, and answers `request`, which carried `nonce`."""
        values = {
            "content-digest": digest(body),
            "smartwatts-time": str(self.time_us),
            "smartwatts-nonce": self._new_nonce(),
        }
        covered = " ".join([*(f'"{name}"' for name in REPLY_COMPONENTS), ANSWERED])
        name = key_name(self.public)
        answered = f"{ANSWERED}: {request.headers['Signature']}"
        parameters = f'({covered});created={self.time_us // 10**6};keyid="{name}";nonce="{nonce}";alg="ed25519"'
        values |= {"@status": str(status)}
        signature = self.key.sign(base_of(REPLY_COMPONENTS, values, parameters, answered))
        return {
            "Content-Digest": values["content-digest"],
            "SmartWatts-Time": values["smartwatts-time"],
            "SmartWatts-Nonce": values["smartwatts-nonce"],
            "Signature-Input": f"sig1={parameters}",
            "Signature": f"sig1=:{base64.b64encode(signature).decode()}:",
        }

    # --- what gateways do -------------------------------------------------------------------------------------

    async def _give_nonce(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        assert request.query["gateway"]
        return web.json_response({"nonce": self._new_nonce()})

    async def _take_batch(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        body = await request.read()
        gateway, signed_by = claimed(request)
        public = self.gateways.get(gateway, {}).get(signed_by)
        if public is None:
            return web.json_response({"error": "unknown gateway"}, status=401)
        exchange = self._exchange(request, body, public)
        try:
            return await self._answer(exchange)
        finally:
            self.received.set()

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        if exchange.nonce not in self._nonces:
            return self.sealed(exchange, 401, {"error": "this nonce was used, or is not ours"})
        self._nonces.remove(exchange.nonce)
        if exchange.gateway in self.revoked:
            return self.sealed(exchange, 403, {"error": "this gateway was revoked"})
        if not exchange.body:
            return self.sealed(exchange, 400, {"error": "no batch"})
        assert exchange.request.content_type == "application/msgpack"
        assert exchange.batch["gateway"] == exchange.gateway
        self.bodies.append(exchange.body)
        self.batches.append(exchange.batch)
        fault = self.faults.pop(0) if self.faults else honest
        return await fault(self, exchange)

    async def _enroll(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        body = await request.read()
        asked = json.loads(body)
        public = unpadded(asked["public_key"])
        exchange = self._exchange(request, body, public)
        assert exchange.gateway == asked["gateway"]
        used_by = self.claims.get(asked["code"], "nobody's")
        if asked["code"] not in self.claims:
            return self.sealed(exchange, 403, {"error": "this code is not valid"})
        if used_by not in (None, key_name(public)):
            return self.sealed(exchange, 409, {"error": "this code was used already"})
        self.claims[asked["code"]] = key_name(public)
        self.know(exchange.gateway, public)
        said = {
            "gateway": exchange.gateway,
            "organisation": self.organisation,
            "site": "site",
            "server_keys": [padless(self.public)],
            "time_us": self.time_us,
        }
        return self.sealed(exchange, 200, said)

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        body = await request.read()
        gateway, signed_by = claimed(request)
        exchange = self._exchange(request, body, self.gateways[gateway][signed_by])
        asked = json.loads(body)
        public = unpadded(asked["public_key"])
        message = b"\0".join([b"smartwatts-rotate", *(p.encode() for p in (gateway, signed_by, key_name(public)))])
        Ed25519PublicKey.from_public_bytes(public).verify(unpadded(asked["proof"]), message)
        self.know(gateway, public)
        said = {"key_id": key_name(public), "server_keys": [padless(self.public)]}
        return self.sealed(exchange, 200, said)

    async def _wonder(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        return web.Response(status=404)

    def _exchange(self, request: web.Request, body: bytes, public: bytes) -> Exchange:
        """The request, once its signature is seen to be right: a gateway of ours never sends a wrong one."""
        found = re.fullmatch(r'sig1=(\(([^()]*)\)((?:;[a-z]+=(?:\d+|"[^"]*"))*))', request.headers["Signature-Input"])
        assert found is not None, request.headers["Signature-Input"]
        names = re.findall(r'"([^"]+)"', found[2])
        parameters = dict(re.findall(r';([a-z]+)="?([^";]*)"?', found[3]))
        assert names == REQUEST_COMPONENTS
        assert parameters["alg"] == "ed25519"
        assert parameters["keyid"] == key_name(public)
        assert parameters["created"].isdecimal()
        assert request.headers["Content-Digest"] == digest(body)
        values = {"@method": request.method, "@target-uri": f"{self.url}{request.path_qs}"}
        values |= {name: request.headers[name] for name in names if not name.startswith("@")}
        signature = base64.b64decode(request.headers["Signature"].removeprefix("sig1=:").removesuffix(":"))
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, base_of(names, values, found[1]))
        except InvalidSignature:
            raise AssertionError(f"the signature is not right: {values}") from None
        self.instances.append(request.headers["SmartWatts-Instance"])
        return Exchange(request, body, request.headers["SmartWatts-Gateway"], parameters["nonce"])

    def _new_nonce(self) -> str:
        nonce = f"nonce{next(self._counter)}.x"
        self._nonces.add(nonce)
        return nonce


async def honest(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
    """Commit, then answer."""
    try:
        return cloud.sealed(exchange, 200, cloud.commit(exchange))
    except RefusedError as error:
        return cloud.sealed(exchange, error.status, error.said)


def claimed(request: web.Request) -> tuple[str, str]:
    """Which gateway it says it is, and the name of the key."""
    found = re.search(r'keyid="([^"]*)"', request.headers["Signature-Input"])
    assert found is not None
    return request.headers["SmartWatts-Gateway"], found[1]


def base_of(names: list[str], values: dict[str, str], parameters: str, *more: str) -> bytes:
    """What is signed, RFC 9421 section 2.5; `more` are lines after those of `names`."""
    lines = [*(f'"{name}": {values[name]}' for name in names), *more, f'"@signature-params": {parameters}']
    return "\n".join(lines).encode("ascii")


def digest(body: bytes) -> str:
    """RFC 9530."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def key_name(public: bytes) -> str:
    """The name of a public key."""
    return padless(hashlib.sha256(public).digest())[:22]


def padless(data: bytes) -> str:
    """base64url as it stands in JSON."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unpadded(text: str) -> bytes:
    """The bytes in it."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
