"""Claims as an operator makes them, sees them and takes them back. A shell.

A code is shown once, when it is made; what is kept of it is its SHA-256. ingest/claims.py is where one is used.
"""

import secrets
from dataclasses import dataclass
from typing import Literal

import msgspec

from cloud_trainer.database import Connection
from cloud_trainer.fleet.organisations import check_name
from firmware_bridge.errors import ConflictError, NotFoundError, SettingError
from firmware_bridge.reading import US_PER_S
from gateway.contract.enrolment import CODE_RANDOM_BYTES, code_digest, new_code, read_code

# A code waits for an installer's visit, not for years in a drawer.
VALID_HOURS_MAX = 31 * 24
# A fleet is rolled out in lots; each code is a line that somebody carries to a site.
COUNT_MAX = 1_000

State = Literal["open", "used", "expired", "revoked"]


class Claim(msgspec.Struct, frozen=True):
    """What is known of a claim; `contested_us` is when its used code came with another key."""

    claim: int
    site: str
    state: State
    gateway: str | None
    replaces: str | None
    created_us: int
    expires_us: int
    used_us: int | None
    used_key: str | None
    contested_us: int | None


class NewClaim(msgspec.Struct, frozen=True):
    """A claim with its code, which nobody can be told again."""

    claim: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a claim is good for.

    `gateway` is the only one that may use it, None when any may. With `replaces` that gateway is taken to be lost:
    whoever uses the claim takes its place, name and history, and every key it had ends with that.
    """

    site: str | None
    gateway: str | None = None
    replaces: bool = False
    valid_hours: int = 72
    count: int = 1


_INSERT_SITE = """
INSERT INTO site (organisation_id, site_id) VALUES (%(organisation)s, %(site)s) ON CONFLICT DO NOTHING
"""

_INSERT = """
INSERT INTO claim (code_digest, organisation_id, site_id, gateway_id, replaces, created_at, expires_at)
VALUES (%(digest)s, %(organisation)s, %(site)s, %(gateway)s, %(replaces)s, instant(%(now)s), instant(%(expires)s))
RETURNING claim_id
"""

_LIST = """
SELECT claim_id, site_id,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN used_at IS NOT NULL THEN 'used'
            WHEN expires_at <= instant(%(now)s) THEN 'expired' ELSE 'open' END,
       gateway_id, replaces, instant_us(created_at), instant_us(expires_at), instant_us(used_at), used_key_id,
       instant_us(contested_at)
FROM claim WHERE organisation_id = %(organisation)s ORDER BY claim_id
"""

_REVOKE = """
UPDATE claim SET revoked_at = instant(%(now)s)
WHERE organisation_id = %(organisation)s AND claim_id = %(claim)s AND used_at IS NULL AND revoked_at IS NULL
"""


def create_claims(connection: Connection, organisation: str, terms: Terms, now_us: int) -> list[NewClaim]:
    """Make `terms.count` claims, and the site when it is new.

    Raises:
        SettingError: the terms do not fit together.
        NotFoundError: the gateway to replace is none of this organisation, or stands at another site.
        ConflictError: the gateway is enrolled already.
    """
    _check(terms)
    site = _site_of(connection, organisation, terms)
    connection.execute(_INSERT_SITE, {"organisation": organisation, "site": site})
    made = []
    for _ in range(terms.count):
        code = new_code(secrets.token_bytes(CODE_RANDOM_BYTES))
        row = connection.execute(
            _INSERT,
            {
                "digest": code_digest(read_code(code)),
                "organisation": organisation,
                "site": site,
                "gateway": terms.gateway,
                "replaces": terms.gateway if terms.replaces else None,
                "now": now_us,
                "expires": now_us + terms.valid_hours * 3600 * US_PER_S,
            },
        ).fetchone()
        assert row is not None, "RETURNING"
        made.append(NewClaim(row[0], code))
    return made


def claims(connection: Connection, organisation: str, now_us: int) -> list[Claim]:
    """All claims of the organisation, oldest first."""
    return [Claim(*row) for row in connection.execute(_LIST, {"organisation": organisation, "now": now_us})]


def revoke_claim(connection: Connection, organisation: str, claim: int, now_us: int) -> None:
    """Take back a claim that nobody used.

    Raises:
        NotFoundError: the organisation has no such claim.
        ConflictError: it was used or revoked before.
    """
    facts = {"organisation": organisation, "claim": claim, "now": now_us}
    if connection.execute(_REVOKE, facts).rowcount:
        return
    for one in claims(connection, organisation, now_us):
        if one.claim == claim:
            next_step = "revoke the gateway instead" if one.state == "used" else "nothing is left to do"
            raise ConflictError("claim", str(claim), f"is {one.state} already", next_step)
    next_step = "look at `smartwatts-trainer claim list`"
    raise NotFoundError("claim", str(claim), f"is no claim of {organisation}", next_step)


def _check(terms: Terms) -> None:
    if terms.site is not None:
        check_name("--site", terms.site)
    if terms.gateway is not None:
        check_name("--replaces" if terms.replaces else "--gateway", terms.gateway)
    if not 1 <= terms.valid_hours <= VALID_HOURS_MAX:
        next_step = f"give hours, 1 to {VALID_HOURS_MAX}"
        raise SettingError("--valid-hours", str(terms.valid_hours), "is no time for a claim", next_step)
    if not 1 <= terms.count <= COUNT_MAX:
        raise SettingError("--count", str(terms.count), "is no number of claims", f"give 1 to {COUNT_MAX}")
    if terms.gateway is not None and terms.count > 1:
        raise SettingError("--count", str(terms.count), "is too many for one gateway", "give each gateway its own")


def _site_of(connection: Connection, organisation: str, terms: Terms) -> str:
    """Where the gateway will stand: the site that is told, or the one of the gateway that is replaced."""
    row = None
    if terms.gateway is not None:
        row = connection.execute(
            "SELECT site_id FROM gateway WHERE organisation_id = %s AND gateway_id = %s",
            (organisation, terms.gateway),
        ).fetchone()
    if terms.gateway is not None and terms.replaces and (row is None or terms.site not in (None, row[0])):
        where = organisation if terms.site is None else f"the site {terms.site} of {organisation}"
        next_step = "look at `smartwatts-trainer gateway list`"
        raise NotFoundError("--replaces", terms.gateway, f"is no gateway of {where}", next_step)
    if row is not None and not terms.replaces:
        next_step = "give another name, or --replaces when it is lost"
        raise ConflictError("--gateway", str(terms.gateway), "is enrolled already", next_step)
    site = terms.site if row is None else str(row[0])
    if site is None:
        raise SettingError("--site", "(not given)", "is needed for a new gateway", "say where it will stand")
    return site
