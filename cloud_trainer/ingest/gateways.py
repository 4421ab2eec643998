"""Who may send: the keys of a gateway, and which of them is its own by now. A shell.

A gateway has one primary key. A rotation adds a second one beside it; the first use of that one makes it the
primary, and the one before ends `OVERLAP_S` later. A new key that is never used changes nothing, so a lost
reply strands nobody.
"""

from dataclasses import dataclass, replace

from cloud_trainer.ingest.db import Connection
from firmware_bridge.reading import US_PER_S, UtcUs

# A gateway whose card was put back to before the rotation has a week in which its old key still works.
OVERLAP_S = 7 * 86_400
OVERLAP_US = OVERLAP_S * US_PER_S
# Of keys that ended: what an operator may want to look up. A gateway that rotates without end fills nothing.
ENDED_KEYS_KEPT = 20


class RevokedError(Exception):
    """This gateway may not send any more, or it never could."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        super().__init__("this gateway was revoked")


_FIND = """
SELECT organisation_id, site_id, status = 'revoked',
       key_id, public_key, instant_us(valid_from), instant_us(valid_until)
FROM gateway LEFT JOIN gateway_key USING (gateway_id)
WHERE gateway_id = %s
"""

_END_OLDER = """
UPDATE gateway_key SET valid_until = instant(%(until_us)s)
FROM gateway
WHERE gateway_key.gateway_id = %(gateway)s AND gateway.gateway_id = %(gateway)s
  AND organisation_id = %(organisation)s
  AND valid_until IS NULL AND valid_from < instant(%(from_us)s)
"""


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A public key, valid in `[valid_from_us, valid_until_us)`; without an end while it is None."""

    public: bytes
    valid_from_us: UtcUs
    valid_until_us: UtcUs | None


@dataclass(frozen=True, slots=True)
class KnownGateway:
    """A gateway that was enrolled, with every key it ever had (within reason), by key id."""

    gateway: str
    organisation: str
    site: str
    is_revoked: bool
    keys: dict[str, GatewayKey]

    def public_keys(self, now_us: int) -> dict[str, bytes]:
        """The keys that it may sign with at `now_us`."""
        return {
            name: key.public
            for name, key in self.keys.items()
            if key.valid_until_us is None or now_us < key.valid_until_us
        }

    @property
    def primary(self) -> str | None:
        """The key that may ask for another one: the oldest of those without an end."""
        open_ended = [name for name, key in self.keys.items() if key.valid_until_us is None]
        return min(open_ended, key=lambda name: self.keys[name].valid_from_us, default=None)

    def ended(self, now_us: int) -> list[str]:
        """The keys that are not taken any more, the first one first."""
        names = self.keys.keys() - self.public_keys(now_us).keys()
        return sorted(names, key=lambda name: self.keys[name].valid_from_us)

    def is_first_use(self, key: str) -> bool:
        """Whether a request signed with `key` makes it the primary: it came by a rotation, and nobody used it yet."""
        return key != self.primary and key in self.keys and self.keys[key].valid_until_us is None


async def find_gateway(connection: Connection, gateway: str) -> KnownGateway | None:
    """The gateway of this name, revoked or not; None when nobody of this name is enrolled."""
    rows = await (await connection.execute(_FIND, (gateway,))).fetchall()
    if not rows:
        return None
    organisation, site, is_revoked = rows[0][:3]
    keys = {row[3]: GatewayKey(bytes(row[4]), row[5], row[6]) for row in rows if row[3] is not None}
    return KnownGateway(gateway, organisation, site, is_revoked, keys)


async def make_primary(connection: Connection, known: KnownGateway, key: str, now_us: int) -> KnownGateway:
    """Let `key` be the primary one from now on: call it in the transaction of its first request (`is_first_use`).

    What was valid before ends one overlap later; requests on their way still count.
    """
    from_us, until_us = known.keys[key].valid_from_us, UtcUs(now_us + OVERLAP_US)
    await connection.execute(
        _END_OLDER,
        {
            "gateway": known.gateway,
            "organisation": known.organisation,
            "from_us": from_us,
            "until_us": until_us,
        },
    )
    keys = {
        name: replace(one, valid_until_us=until_us)
        if one.valid_until_us is None and one.valid_from_us < from_us
        else one
        for name, one in known.keys.items()
    }
    return replace(known, keys=keys)
