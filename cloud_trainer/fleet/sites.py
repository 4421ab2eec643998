"""The sites of an organisation. A shell."""

import msgspec

from cloud_trainer.database import Connection
from firmware_bridge.errors import NotFoundError


class Site(msgspec.Struct, frozen=True):
    """A site, and who sends from there; `seen_us` is when one of them did last."""

    site: str
    gateways: list[str]
    gateways_active: int
    seen_us: int | None


_LIST = """
SELECT site_id, array_remove(array_agg(gateway_id ORDER BY gateway_id), NULL),
       count(*) FILTER (WHERE status = 'active'), instant_us(max(seen_at))
FROM site LEFT JOIN gateway USING (organisation_id, site_id)
WHERE organisation_id = %s
GROUP BY site_id ORDER BY site_id
"""


def sites(connection: Connection, organisation: str) -> list[Site]:
    """All sites of the organisation, by name."""
    return [Site(*row) for row in connection.execute(_LIST, (organisation,))]


def find_site(connection: Connection, organisation: str, site: str) -> Site:
    """One of them.

    Raises:
        NotFoundError: the organisation has none of that name.
    """
    for one in sites(connection, organisation):
        if one.site == site:
            return one
    next_step = "look at `smartwatts-trainer site list`"
    raise NotFoundError("site", site, f"is no site of {organisation}", next_step)
