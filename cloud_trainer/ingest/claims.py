"""How a gateway becomes one of ours, and how it changes its key: each in one transaction. A shell.

Whoever asks has proven that it holds the key (the request is signed with it). A claim is used once; asked again with
the same key it gives the same answer, because the first one may have been lost on its way.
"""

import hmac
import logging
from dataclasses import dataclass
from typing import Any

import psycopg

from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.gateways import (
    ENDED_KEYS_KEPT,
    KnownGateway,
    RevokedError,
    find_gateway,
    make_primary,
)
from gateway.contract.enrolment import (
    EnrolRequest,
    Rotated,
    RotateRequest,
    code_digest,
    decode_key,
    decode_proof,
    rotation_message,
)
from gateway.contract.signatures import check_signature, key_id

log = logging.getLogger(__name__)


class ClaimRefusedError(Exception):
    """The code is unknown, expired or revoked: nobody is told which."""

    def __init__(self) -> None:
        super().__init__("this code is not valid: it is mistyped, expired, or was revoked")


class IdentityConflictError(Exception):
    """The code, the name or the key is somebody's already; the message and what to do may be shown to who asked."""

    def __init__(self, problem: str, next_step: str = "ask whoever runs the cloud for a new code") -> None:
        super().__init__(problem)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Membership:
    """Whose gateway this is from now on."""

    gateway: str
    organisation: str
    site: str


@dataclass(frozen=True, slots=True)
class _Claim:
    claim: int
    digest: bytes
    organisation: str
    site: str
    gateway: str | None
    replaces: str | None
    expires_us: int
    is_revoked: bool
    used_key: str | None


_FIND_CLAIM = """
SELECT claim_id, code_digest, organisation_id, site_id, gateway_id, replaces, instant_us(expires_at),
       revoked_at IS NOT NULL, used_key_id
FROM claim WHERE code_digest = %s FOR UPDATE
"""

_USE_CLAIM = """
UPDATE claim SET used_at = instant(%(now)s), used_key_id = %(key)s
WHERE claim_id = %(claim)s AND organisation_id = %(organisation)s
"""

_CONTEST_CLAIM = """
UPDATE claim SET contested_at = instant(%(now)s) WHERE claim_id = %(claim)s AND organisation_id = %(organisation)s
"""

_INSERT_GATEWAY = """
INSERT INTO gateway (gateway_id, organisation_id, site_id, status, nonce_us, enrolled_at, hardware, software)
VALUES (%(gateway)s, %(organisation)s, %(site)s, 'active', %(nonce)s, instant(%(now)s), %(hardware)s, %(software)s)
ON CONFLICT (gateway_id) DO NOTHING
RETURNING gateway_id
"""

# The new machine starts as nobody's clone; the counter of nonces goes on, so that nothing old can be played again.
_REPLACE_GATEWAY = """
UPDATE gateway SET status = 'active', revoked_at = NULL, enrolled_at = instant(%(now)s),
    nonce_us = greatest(nonce_us, %(nonce)s), instance = NULL, instances_before = DEFAULT, suspect_since = NULL,
    hardware = %(hardware)s, software = %(software)s
WHERE gateway_id = %(gateway)s AND organisation_id = %(organisation)s AND site_id = %(site)s
RETURNING gateway_id
"""

_END_KEYS = """
UPDATE gateway_key SET valid_until = instant(%(now)s)
FROM gateway
WHERE gateway_key.gateway_id = %(gateway)s AND gateway.gateway_id = %(gateway)s
  AND organisation_id = %(organisation)s AND coalesce(valid_until > instant(%(now)s), true)
"""

# A key is one gateway's for good, of whatever organisation: what was copied or revoked cannot come back.
_INSERT_KEY = """
INSERT INTO gateway_key (gateway_id, key_id, public_key, valid_from)
SELECT %(gateway)s, %(key)s, %(public_key)s, instant(%(now)s)
WHERE NOT EXISTS (SELECT FROM gateway_key WHERE key_id = %(key)s)
RETURNING key_id
"""

_LOCK_GATEWAY = "SELECT FROM gateway WHERE gateway_id = %s FOR UPDATE"

_DROP_KEYS = """
DELETE FROM gateway_key USING gateway
WHERE gateway_key.gateway_id = %s AND gateway.gateway_id = gateway_key.gateway_id AND organisation_id = %s
  AND key_id = ANY(%s)
"""

_ENROLLED_WITH = """
SELECT gateway_id, organisation_id, site_id
FROM gateway JOIN gateway_key USING (gateway_id)
WHERE gateway_id = %(gateway)s AND organisation_id = %(organisation)s AND key_id = %(key)s AND status = 'active'
"""


async def enroll(connection: Connection, request: EnrolRequest, *, nonce_us: int, now_us: int) -> Membership:
    """Make who asks a gateway of the site its code was made for; when this returns, it is committed.

    Args:
        connection: not in a transaction.
        request: signed with the key in it; that was checked.
        nonce_us: when the nonce of the request was issued; it is used up by this.
        now_us: the present instant.

    Raises:
        EnrolmentError: what it calls its key is none.
        ClaimRefusedError: the code is unknown, expired or revoked.
        IdentityConflictError: the code was used with another key, or the name or the key is taken.
    """
    assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE, "we commit, nobody else"
    public = decode_key(request.public_key)
    async with connection.transaction():
        claim = await _find_claim(connection, code_digest(request.code))
        if claim is None or claim.is_revoked:
            raise ClaimRefusedError
        facts = {
            "claim": claim.claim,
            "organisation": claim.organisation,
            "site": claim.site,
            "gateway": request.gateway,
            "key": key_id(public),
            "public_key": public,
            "hardware": _printable(request.hardware),
            "software": _printable(request.software),
            "nonce": nonce_us,
            "now": now_us,
        }
        if claim.used_key is None:
            return await _admit(connection, claim, facts)
        if claim.used_key == facts["key"]:
            return await _enrolled_before(connection, facts)
        await connection.execute(_CONTEST_CLAIM, facts)
    # One of the two is not who was meant: somebody must look.
    log.error(
        "used claim code came again: claim=%d organisation=%s gateway=%s key=%s used_by_key=%s",
        *(claim.claim, claim.organisation, request.gateway, facts["key"], claim.used_key),
    )
    raise IdentityConflictError("this code was used already")


def _printable(words: str) -> str:
    """Words of a stranger, as an operator's terminal may show them; PostgreSQL has no place for a NUL either."""
    return "".join(one for one in words if one.isprintable())


async def _find_claim(connection: Connection, digest: bytes) -> _Claim | None:
    """The claim with this digest, locked: two who come with one code take turns."""
    row = await (await connection.execute(_FIND_CLAIM, (digest,))).fetchone()
    if row is None:
        return None
    claim = _Claim(*row)
    # The index was asked for a hash, whose bytes nobody can choose one by one; the last word has no clock in it.
    return claim if hmac.compare_digest(claim.digest, digest) else None


async def _enrolled_before(connection: Connection, facts: dict[str, Any]) -> Membership:
    """What this key was told when it used the claim, unless it was revoked since."""
    row = await (await connection.execute(_ENROLLED_WITH, facts)).fetchone()
    if row is None:
        raise ClaimRefusedError
    return Membership(*row)


async def _admit(connection: Connection, claim: _Claim, facts: dict[str, Any]) -> Membership:
    """Write down gateway, key and use of the claim."""
    if facts["now"] >= claim.expires_us:
        raise ClaimRefusedError
    if claim.gateway not in (None, facts["gateway"]):
        raise IdentityConflictError("this code is for a gateway of another name")
    row = None
    if claim.replaces is not None:
        await connection.execute(_END_KEYS, facts)
        row = await (await connection.execute(_REPLACE_GATEWAY, facts)).fetchone()
    if row is None:
        row = await (await connection.execute(_INSERT_GATEWAY, facts)).fetchone()
    if row is None:
        next_step = "ask whoever runs the cloud for a code that --replaces it, or to restore it if it was revoked"
        raise IdentityConflictError("a gateway of this name is enrolled already", next_step)
    if await (await connection.execute(_INSERT_KEY, facts)).fetchone() is None:
        raise IdentityConflictError("this key was used before", "give the same code once more, with --new-key")
    await connection.execute(_USE_CLAIM, facts)
    log.info(
        "gateway enrolled: gateway=%s organisation=%s key=%s", facts["gateway"], claim.organisation, facts["key"]
    )
    return Membership(facts["gateway"], claim.organisation, claim.site)


async def rotate(
    connection: Connection,
    request: RotateRequest,
    *,
    gateway: str,
    signed_by: str,
    server_keys: list[str],
    now_us: int,
) -> Rotated:
    """Give a gateway a second key, which is its primary one from its first use on; told with the `server_keys`.

    Runs in the caller's transaction, if there is one. Asked again for the same key it changes nothing; another one
    takes the place of a key that was never used.

    Raises:
        EnrolmentError: what it calls key and proof are none.
        SignatureError: the new key did not sign the wish.
        RevokedError: the gateway is not (any more) one of ours.
        IdentityConflictError: the key that signed is not the primary one, or the new key is somebody's already.
    """
    public = decode_key(request.public_key)
    new_key = key_id(public)
    check_signature(public, decode_proof(request.proof), rotation_message(gateway, signed_by, new_key))
    async with connection.transaction():
        await connection.execute(_LOCK_GATEWAY, (gateway,))
        known = await find_gateway(connection, gateway)
        if known is None or known.is_revoked:
            raise RevokedError(gateway)
        if known.is_first_use(signed_by):
            known = await make_primary(connection, known, signed_by, now_us)
        if signed_by != known.primary:
            raise IdentityConflictError("a newer key is in use already")
        if not known.is_first_use(new_key):
            await _add_key(connection, known, public, now_us)
    return Rotated(new_key, server_keys)


async def _add_key(connection: Connection, known: KnownGateway, public: bytes, now_us: int) -> None:
    """Put a key beside the primary one, in the place of those that were never used."""
    unused = [name for name in known.keys if known.is_first_use(name)]
    await connection.execute(
        _DROP_KEYS, (known.gateway, known.organisation, unused + known.ended(now_us)[:-ENDED_KEYS_KEPT])
    )
    facts = {
        "gateway": known.gateway,
        "key": key_id(public),
        "public_key": public,
        # The order of keys is the order of their beginnings, whatever the clock says.
        "now": max(now_us, *(key.valid_from_us + 1 for key in known.keys.values())),
    }
    if await (await connection.execute(_INSERT_KEY, facts)).fetchone() is None:
        raise IdentityConflictError("this key was used before: make a new one")
    log.info(
        "gateway rotates its key: gateway=%s organisation=%s key=%s",
        *(known.gateway, known.organisation, facts["key"]),
    )
