"""The gatekeeper before a real database, without HTTP: what it remembers, and for how long."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg_pool import AsyncConnectionPool

from cloud_trainer.ingest.auth import KNOWN_S, Caller, Gatekeeper
from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.limits import Limits, Rate
from cloud_trainer.ingest.replies import RefusedError
from cloud_trainer.ingest.server_key import ServerKeys
from gateway.contract.signatures import Ed25519Signer, SignatureError, sign_request
from tests.sim.clock import SimClock

pytestmark = [pytest.mark.slow, pytest.mark.pg]

TARGET = "http://ingest/v1/batches"
SIGNER = Ed25519Signer(Ed25519PrivateKey.generate())


class Gate:
    """A gatekeeper with a clock that the test moves, and counted lookups."""

    def __init__(self, pool: AsyncConnectionPool[Connection], keys: ServerKeys) -> None:
        self.pool, self.clock = pool, SimClock()
        self.keeper = Gatekeeper(pool, keys, Limits(gateway=Rate(2, 1), failures=Rate(2, 1)), self.clock)

    @property
    def lookups(self) -> int:
        return self.pool.get_stats().get("requests_num", 0)

    def caller(self, body: bytes = b"", signer: Ed25519Signer = SIGNER, gateway: str = "gw-1") -> Caller:
        """Whose nonce was checked."""
        headers = sign_request(
            signer,
            method="POST",
            target=TARGET,
            body=body,
            gateway=gateway,
            instance="0" * 16,
            nonce=self.keeper.new_nonce(gateway),
            created_s=0,
        )
        caller = self.keeper.caller(headers, "192.0.2.1")
        self.keeper.check_nonce(caller)
        return caller


@pytest.fixture
async def gate(dsn: str, gateways: None, tmp_path: Path) -> AsyncIterator[Gate]:
    add_key(dsn, SIGNER)
    async with AsyncConnectionPool[Connection](dsn, min_size=1, open=False) as pool:
        await pool.wait()
        yield Gate(pool, ServerKeys.open(tmp_path / "keys", SimClock().utc_us()))


def add_key(dsn: str, signer: Ed25519Signer) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES ('gw-1', %s, %s)",
            (signer.key_id, signer.public),
        )


async def test_a_gateway_is_looked_up_once_in_some_seconds(gate: Gate) -> None:
    for _ in range(5):
        await gate.keeper.recognise(gate.caller())
    assert gate.lookups == 1
    gate.clock.advance(KNOWN_S)
    await gate.keeper.recognise(gate.caller())
    assert gate.lookups == 2
    gate.keeper.forget("gw-1")
    await gate.keeper.recognise(gate.caller())
    assert gate.lookups == 3


async def test_a_key_that_came_meanwhile_is_found_at_once(gate: Gate, dsn: str) -> None:
    await gate.keeper.recognise(gate.caller())
    new = Ed25519Signer(Ed25519PrivateKey.generate())
    add_key(dsn, new)
    known = await gate.keeper.recognise(gate.caller(signer=new))
    assert new.key_id in known.keys


async def test_a_nonce_is_checked_without_the_database(gate: Gate) -> None:
    caller = gate.caller()
    assert caller.used_us == caller.issued_us == gate.clock.utc_us()
    gate.clock.advance(601)
    with pytest.raises(RefusedError, match="older than 600 s"):
        gate.keeper.check_nonce(caller)
    assert gate.lookups == 0


async def test_the_rate_of_a_gateway_counts_what_it_proved(gate: Gate) -> None:
    for _ in range(2):
        caller = gate.caller()
        known = await gate.keeper.recognise(caller)
        gate.keeper.prove(caller, TARGET, b"", known)
    with pytest.raises(RefusedError, match="sends too often"):
        await gate.keeper.recognise(gate.caller())
    gate.clock.advance(1)
    await gate.keeper.recognise(gate.caller())


async def test_whoever_fails_too_often_is_not_looked_up_any_more(gate: Gate) -> None:
    for _ in range(2):
        with pytest.raises(RefusedError, match="no gateway of this name"):
            await gate.keeper.recognise(gate.caller(gateway="gw-9"))
    with pytest.raises(RefusedError, match="too many requests from this address failed"):
        gate.caller(gateway="gw-9")
    assert gate.lookups == 2


@pytest.mark.parametrize(
    ("target", "body"), [("http://ingest/v1/rotate", b""), (TARGET, b"x"), ("https://ingest/v1/batches", b"")]
)
async def test_another_address_or_body_proves_nothing(gate: Gate, target: str, body: bytes) -> None:
    caller = gate.caller()
    known = await gate.keeper.recognise(caller)
    with pytest.raises(RefusedError) as raised:
        gate.keeper.prove(caller, target, body, known)
    assert raised.value.answer.status == 401


async def test_headers_that_say_nothing_are_nobodys(gate: Gate) -> None:
    with pytest.raises(SignatureError):
        gate.keeper.caller({}, "192.0.2.1")
