"""The gateways of an organisation: seen, revoked, taken back. A shell."""

import msgspec

from cloud_trainer.database import Connection
from firmware_bridge.errors import ConflictError, NotFoundError


class Gateway(msgspec.Struct, frozen=True):
    """A gateway as its operator sees it.

    `keys` are the ids of those it may sign with, the primary one first. `suspect_since_us` is when two programs
    were seen that both say they are this gateway.
    """

    gateway: str
    site: str
    status: str
    suspect_since_us: int | None
    seen_us: int | None
    enrolled_us: int
    revoked_us: int | None
    software: str
    hardware: str
    keys: list[str]


_LIST = """
SELECT gateway.gateway_id, site_id, status, instant_us(suspect_since), instant_us(seen_at), instant_us(enrolled_at),
       instant_us(revoked_at), software, hardware,
       array_remove(array_agg(key_id ORDER BY valid_until DESC NULLS FIRST, valid_from), NULL)
FROM gateway
LEFT JOIN gateway_key ON gateway_key.gateway_id = gateway.gateway_id
    AND coalesce(valid_until > instant(%(now)s), true)
WHERE organisation_id = %(organisation)s
GROUP BY gateway.gateway_id ORDER BY gateway.gateway_id
"""

_REVOKE = """
UPDATE gateway SET status = 'revoked', revoked_at = instant(%(now)s)
WHERE organisation_id = %(organisation)s AND gateway_id = %(gateway)s AND status = 'active'
"""

# Its operator has looked: what was suspicious before is not any more, until it happens again.
_RESTORE = """
UPDATE gateway SET status = 'active', revoked_at = NULL, suspect_since = NULL, instances_before = DEFAULT
WHERE organisation_id = %(organisation)s AND gateway_id = %(gateway)s
  AND (status = 'revoked' OR suspect_since IS NOT NULL)
"""


def gateways(connection: Connection, organisation: str, now_us: int) -> list[Gateway]:
    """All gateways of the organisation, by name."""
    return [Gateway(*row) for row in connection.execute(_LIST, {"organisation": organisation, "now": now_us})]


def revoke_gateway(connection: Connection, organisation: str, gateway: str, now_us: int) -> None:
    """Take nothing more from it; it is told so, goes on measuring, and keeps what it has.

    Raises:
        NotFoundError: the organisation has no such gateway.
        ConflictError: it is revoked already.
    """
    facts = {"organisation": organisation, "gateway": gateway, "now": now_us}
    if not connection.execute(_REVOKE, facts).rowcount:
        _explain(connection, organisation, gateway, "is revoked already", now_us)


def restore_gateway(connection: Connection, organisation: str, gateway: str, now_us: int) -> None:
    """Take it back after a revocation, with the keys it had, and forget what made it suspect.

    Raises:
        NotFoundError: the organisation has no such gateway.
        ConflictError: it is active, and not suspect.
    """
    facts = {"organisation": organisation, "gateway": gateway}
    if not connection.execute(_RESTORE, facts).rowcount:
        _explain(connection, organisation, gateway, "is neither revoked nor suspect", now_us)


def _explain(connection: Connection, organisation: str, gateway: str, problem: str, now_us: int) -> None:
    next_step = "look at `smartwatts-trainer gateway list`"
    if any(one.gateway == gateway for one in gateways(connection, organisation, now_us)):
        raise ConflictError("gateway", gateway, problem, next_step)
    raise NotFoundError("gateway", gateway, f"is no gateway of {organisation}", next_step)
