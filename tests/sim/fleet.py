"""Organisations, claims and gateways in a database, as an operator and an installer would make them."""

from dataclasses import dataclass

import numpy as np
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.database import connect
from cloud_trainer.fleet.claims import NewClaim, Terms, create_claims
from cloud_trainer.fleet.organisations import create_organisation
from cloud_trainer.ingest.claims import Membership, enroll, rotate
from cloud_trainer.ingest.db import Connection, store_batch
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Series, UtcUs
from gateway.contract.enrolment import EnrolRequest, Rotated, RotateRequest, encode_bytes, read_code, rotation_message
from gateway.contract.raw import pack_raw
from gateway.contract.records import RawBlock, Record
from gateway.contract.signatures import Ed25519Signer
from tests.sim.cloud_records import START_US, batch, one_of_each

NOW_US = START_US
HOUR_US = 3600 * US_PER_S
SITE = "home"
SERVER_KEYS = ["A" * 43]


def raw_record(start_us: int) -> RawBlock:
    """Three seconds of two series around an anomaly, one value missing and one suspect."""
    series = [Series(MeterId("grid"), measurand) for measurand in (Measurand.ACTIVE_POWER_W, Measurand.VOLTAGE_V)]
    values = np.array([[1.5, np.nan, -2.0], [230.0, 231.0, 232.0]])
    quality = np.array([[0, 2, 1], [0, 0, 0]], dtype=np.uint8)
    ticks = [UtcUs(start_us + second * US_PER_S) for second in range(3)]
    (block,) = pack_raw(ticks, series, values, quality, "anomaly")
    return block


def new_key() -> Ed25519Signer:
    return Ed25519Signer(Ed25519PrivateKey.generate())


def request(gateway: str, key: Ed25519Signer, code: str, *, hardware: str = "a board") -> EnrolRequest:
    return EnrolRequest(read_code(code), gateway, encode_bytes(key.public), hardware, "0.1.0")


def wish(gateway: str, old: Ed25519Signer, new: Ed25519Signer) -> RotateRequest:
    proof = new.sign(rotation_message(gateway, old.key_id, new.key_id))
    return RotateRequest(encode_bytes(new.public), encode_bytes(proof))


def claim(dsn: str, organisation: str = "default", **terms: object) -> NewClaim:
    with connect(dsn) as connection:
        (made,) = create_claims(connection, organisation, Terms(**({"site": SITE} | terms)), NOW_US)
    return made


async def enrolled(
    connection: Connection, gateway: str, key: Ed25519Signer, code: str, now_us: int = NOW_US
) -> Membership:
    return await enroll(connection, request(gateway, key, code), nonce_us=now_us, now_us=now_us)


async def rotated(
    connection: Connection, gateway: str, old: Ed25519Signer, new: Ed25519Signer, now_us: int = NOW_US
) -> Rotated:
    return await rotate(
        connection,
        wish(gateway, old, new),
        gateway=gateway,
        signed_by=old.key_id,
        server_keys=SERVER_KEYS,
        now_us=now_us,
    )


@dataclass(frozen=True)
class Tenant:
    """An organisation with one of everything; its site is called as everybody's is."""

    organisation: str
    gateway: str
    open_claim: NewClaim
    used_claim: NewClaim


async def tenant(dsn: str, organisation: str, records: list[Record | bytes] | None = None) -> Tenant:
    with connect(dsn) as connection:
        create_organisation(connection, organisation, organisation.title())
    used, still_open = claim(dsn, organisation), claim(dsn, organisation)
    gateway = f"{organisation}-1"
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await enrolled(connection, gateway, new_key(), used.code)
        await store_batch(connection, batch([*one_of_each(), *(records or [])], gateway=gateway))
    return Tenant(organisation, gateway, still_open, used)
