"""The first thing a transaction does for a signed request: the gateway's row is locked, and it may still send.

Here a nonce is used up, a revocation takes effect whatever was remembered of the gateway, and a copy of a
gateway shows itself.
"""

import logging
from dataclasses import dataclass

from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.gateways import KnownGateway, RevokedError, make_primary
from gateway.contract.signatures import SignedRequest

log = logging.getLogger(__name__)

# Starts of a gateway's program that are remembered; a copy that sleeps longer is noticed at its own next start.
INSTANCES_KEPT = 8

# The row stays locked to the end of the transaction: requests of one gateway take turns.
_LOCK = """
SELECT status = 'revoked', nonce_us, instance, instances_before, suspect_since IS NOT NULL,
       EXISTS (SELECT FROM gateway_key
               WHERE gateway_key.gateway_id = gateway.gateway_id AND key_id = %(key)s
                 AND coalesce(valid_until > instant(%(now)s), true))
FROM gateway WHERE gateway_id = %(gateway)s FOR NO KEY UPDATE
"""

_NOTE = """
UPDATE gateway
SET nonce_us = %(nonce)s, seen_at = instant(%(now)s), instance = %(instance)s, instances_before = %(before)s,
    suspect_since = CASE WHEN %(suspect)s THEN coalesce(suspect_since, instant(%(now)s)) ELSE suspect_since END
WHERE gateway_id = %(gateway)s
"""


class UsedNonceError(Exception):
    """The nonce was used, or a later one was; only one issued after `used_us` passes."""

    def __init__(self, used_us: int) -> None:
        self.used_us = used_us
        super().__init__("the nonce was used before")


class StrangerError(Exception):
    """The gateway, or the key that it signed with, was removed since we looked it up."""


@dataclass(frozen=True, slots=True)
class Instances:
    """The starts of a gateway's program that were seen: the present one and those before it, newest last."""

    present: str | None
    before: tuple[str, ...] = ()

    def seen(self, instance: str) -> "Instances":
        """As they are once `instance` was seen."""
        if instance == self.present:
            return self
        others = [one for one in self.before if one != instance]
        if self.present is not None:
            others.append(self.present)
        return Instances(instance, tuple(others[-INSTANCES_KEPT:]))

    def is_back(self, instance: str) -> bool:
        """Whether another one took the place of `instance` meanwhile: two machines use one key."""
        return instance != self.present and instance in self.before


async def admit(
    connection: Connection,
    known: KnownGateway,
    request: SignedRequest,
    *,
    issued_us: int,
    now_us: int,
    is_upload: bool = True,
) -> bool:
    """Use up the nonce issued at `issued_us`, in the caller's transaction; whether the gateway is suspect since now.

    Only uploads tell which start of the gateway's program lives: a command beside it is a program of its own.

    Raises:
        RevokedError: it may not send any more.
        UsedNonceError: the nonce was used.
        StrangerError: gateway or key are gone.
    """
    assert request.gateway == known.gateway, "looked up by the name in the request"
    facts = {"gateway": request.gateway, "key": request.key_id, "nonce": issued_us, "now": now_us}
    row = await (await connection.execute(_LOCK, facts)).fetchone()
    if row is None:
        raise StrangerError
    is_revoked, used_us, present, before, was_suspect, has_key = row
    if is_revoked:
        raise RevokedError(request.gateway)
    if not has_key:
        raise StrangerError
    if issued_us <= used_us:
        raise UsedNonceError(used_us)
    instances = Instances(present, tuple(before))
    is_back = is_upload and instances.is_back(request.instance)
    after = instances.seen(request.instance) if is_upload else instances
    await connection.execute(
        _NOTE, facts | {"instance": after.present, "before": list(after.before), "suspect": is_back}
    )
    if known.is_first_use(request.key_id):
        await make_primary(connection, known, request.key_id, now_us)
    if is_back:
        log.error(
            "gateway may be copied, an earlier instance is back: gateway=%s organisation=%s instance=%s",
            *(request.gateway, known.organisation, request.instance),
        )
    return is_back and not was_suspect
