"""A gateway's side of the wire, for tests of ingest: it signs, and believes only what is signed. It can also lie."""

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client.parser import text_string_to_metric_families

from cloud_trainer.ingest.app import Ports, listening
from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.server_key import load_keys
from cloud_trainer.ingest.settings import Settings
from gateway.contract.batches import (
    Acknowledgement,
    Batch,
    Refusal,
    decode_acknowledgement,
    decode_refusal,
    encode_batch,
)
from gateway.contract.signatures import Ed25519Signer, key_id, sign_request, target_uri, verify_reply

BATCHES, ENROLL, ROTATE = "/v1/batches", "/v1/enroll", "/v1/rotate"
TYPES = {BATCHES: "application/msgpack", ENROLL: "application/json", ROTATE: "application/json"}
INSTANCE = "0011223344556677"


@dataclass(frozen=True)
class Reply:
    """A signed answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    next_nonce: str

    @property
    def acknowledgement(self) -> Acknowledgement:
        assert self.status == 200, self.body
        return decode_acknowledgement(self.body)

    @property
    def refusal(self) -> Refusal:
        assert self.status != 200
        return decode_refusal(self.body)


@dataclass
class Sender:
    """One gateway. `server_keys` is a folder: whatever is signed by a key in it is believed."""

    session: aiohttp.ClientSession
    url: str
    server_keys: Path
    gateway: str = "gw-1"
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(Ed25519PrivateKey.generate()))
    instance: str = INSTANCE
    ports: Ports | None = None

    async def nonce(self) -> str:
        async with self.session.get(f"{self.url}/v1/nonce", params={"gateway": self.gateway}) as response:
            assert response.status == 200
            nonce: str = (await response.json())["nonce"]
            return nonce

    async def send(self, batch: Batch, nonce: str | None = None) -> Reply:
        return await self.post(encode_batch(batch), nonce=nonce)

    async def metric(self, name: str, **labels: str) -> float:
        """The figure, from the port of the metrics; 0 when it was never counted."""
        assert self.ports is not None
        async with self.session.get(f"http://127.0.0.1:{self.ports.metrics_port}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        samples = [sample for family in families for sample in family.samples]
        return next((one.value for one in samples if (one.name, one.labels) == (name, labels)), 0.0)

    async def post(
        self,
        body: bytes,
        path: str = BATCHES,
        *,
        nonce: str | None = None,
        sent_as: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """Sign `body`, then send it, or `sent_as` instead, with headers set, replaced, or (None) left out."""
        nonce = nonce or await self.nonce()
        told: dict[str, str | None] = {**self.signed(body, path, nonce), "Content-Type": TYPES[path]}
        told |= headers or {}
        data = io.BytesIO(body if sent_as is None else sent_as)
        async with self.session.post(
            self.url + path, data=data, headers={name: value for name, value in told.items() if value is not None}
        ) as response:
            answer = await response.read()
            # read anew: a test may have added one meanwhile
            keys = {key_id(key.signer.public): key.signer.public for key in load_keys(self.server_keys)}
            proven = verify_reply(
                response.headers,
                status=response.status,
                body=answer,
                nonce=nonce,
                request=told["Signature"] or "",
                public_keys=keys,
            )
            return Reply(response.status, answer, response.headers, proven.next_nonce)

    def signed(self, body: bytes, path: str, nonce: str) -> dict[str, str]:
        return sign_request(
            self.signer,
            method="POST",
            target=target_uri(self.url, path),
            body=body,
            gateway=self.gateway,
            instance=self.instance,
            nonce=nonce,
            created_s=0,  # nobody decides by it
        )


@asynccontextmanager
async def before_an_ingest(settings: Settings, limits: Limits | None = None) -> AsyncIterator[Sender]:
    """A gateway that an ingest knows, with these limits."""
    async with listening(settings, limits=limits) as ports, aiohttp.ClientSession() as session:
        yield know(settings.dsn, Sender(session, ports.public_url, Path(settings.keys), ports=ports))


def know(dsn: str, sender: Sender) -> Sender:
    """Enrol `sender` by hand, in the organisation and site `default`."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO gateway (gateway_id, organisation_id, site_id) VALUES (%s, 'default', 'default')"
            " ON CONFLICT DO NOTHING",
            (sender.gateway,),
        )
        connection.execute(
            "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES (%s, %s, %s)",
            (sender.gateway, sender.signer.key_id, sender.signer.public),
        )
    return sender


def unsigned(answer: bytes) -> dict[str, object]:
    """What an answer says that nobody signed."""
    told: dict[str, object] = json.loads(answer)
    return told
