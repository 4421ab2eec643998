"""Everything of a site, gone in one transaction. A shell.

What PostgreSQL still holds of it in dead rows goes with its next VACUUM; backups are their owner's to thin out.
"""

from psycopg import sql

from cloud_trainer.database import Connection
from cloud_trainer.fleet.sites import find_site
from firmware_bridge.errors import ConflictError

_OF_SITE = sql.SQL("organisation_id = %(organisation)s AND site_id = %(site)s")
_OF_GATEWAY = sql.SQL(
    "gateway_id IN (SELECT gateway_id FROM gateway WHERE organisation_id = %(organisation)s AND site_id = %(site)s)"
)
_OF_GENERATION = sql.SQL(
    "generation_id IN (SELECT generation_id FROM generation JOIN gateway USING (gateway_id)"
    " WHERE organisation_id = %(organisation)s AND site_id = %(site)s)"
)

# Every table with something of a site in it, and which rows are: what is found by its store or its gateway goes
# before these do.
ROWS: dict[str, sql.SQL] = (
    dict.fromkeys(("reading_row", "block"), _OF_GENERATION)
    | dict.fromkeys(("rollup_15min", "series", "raw_window", "forecast", "anomaly", "decision"), _OF_GATEWAY)
    | dict.fromkeys(("model_report", "status", "record", "generation", "gateway_key"), _OF_GATEWAY)
    | dict.fromkeys(("gateway", "claim", "site"), _OF_SITE)
)
# In the order in which an enrolment takes them. An upload locks its gateway: none is under way when we hold it.
_LOCKED = ("claim", "site", "gateway")


def erase_site(connection: Connection, organisation: str, site: str, *, revoke: bool) -> dict[str, int]:
    """Delete the site, its gateways with their keys, and all they ever sent; how many rows went, by table.

    Nothing is final before the caller commits.

    Args:
        connection: in a transaction, or about to begin one.
        organisation: whose site.
        site: which one.
        revoke: even if gateways still send from there.

    Raises:
        NotFoundError: the organisation has no such site.
        ConflictError: a gateway still sends from there, and `revoke` is not set.
    """
    names = {"organisation": organisation, "site": site}
    for table in _LOCKED:
        lock = sql.SQL("SELECT 1 FROM {} WHERE {} FOR UPDATE").format(sql.Identifier(table), ROWS[table])
        connection.execute(lock, names)
    found = find_site(connection, organisation, site)
    if found.gateways_active and not revoke:
        problem = f"has {found.gateways_active} active gateway(s)"
        raise ConflictError("site", site, problem, "revoke them first, or add --revoke")
    gone = {}
    for table, rows in ROWS.items():
        delete = sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table), rows)
        gone[table] = connection.execute(delete, names).rowcount
    return gone
