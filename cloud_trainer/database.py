"""Which database, and whose data in it: what the commands are told with --dsn and --gateway. A shell."""

from pathlib import Path
from typing import Any

import psycopg

from firmware_bridge.errors import NotFoundError, SettingError

# How long a server may take to accept a connection, seconds: it answers or it is away.
CONNECT_S_MAX = 5

Connection = psycopg.Connection[Any]


def read_dsn(given: str) -> str:
    """The DSN meant by `given`, which may be `@FILE`.

    Raises:
        SettingError: the file cannot be read, or it is not a DSN (which is not repeated: it may hold a password).
    """
    if given.startswith("@"):
        try:
            given = Path(given[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise SettingError(
                "--dsn", given, f"cannot be read ({reason})", "give a file that holds one DSN"
            ) from error
    try:
        values = psycopg.conninfo.conninfo_to_dict(given)
    except psycopg.ProgrammingError as error:
        next_step = 'write it like "host=db.example user=smartwatts dbname=smartwatts"'
        raise SettingError("--dsn", "(not shown)", "is not a DSN", next_step) from error
    return psycopg.conninfo.make_conninfo("", **({"connect_timeout": CONNECT_S_MAX} | values))


def connect(given: str) -> Connection:
    """A connection to the database meant by `given`.

    Raises:
        SettingError: `given` is not a DSN.
        psycopg.OperationalError: the database is away.
    """
    return psycopg.connect(read_dsn(given))


def only_gateway(connection: Connection, given: str | None) -> str:
    """The gateway to look at: `given`, or the only one there is.

    Raises:
        NotFoundError: it has sent nothing, or nobody has.
        SettingError: there are several, and none is given.
    """
    known = [str(name) for (name,) in connection.execute("SELECT DISTINCT gateway_id FROM record ORDER BY 1")]
    if given is None and len(known) == 1:
        return known[0]
    if given is not None and given in known:
        return given
    if not known:
        next_step = "let a gateway upload to `smartwatts-trainer ingest` first"
        raise NotFoundError("--gateway", given or "(not given)", "nothing was ingested yet", next_step)
    shown = ", ".join(known[:5])
    if given is None:
        raise SettingError(
            "--gateway", "(not given)", "is needed unless the database holds one", f"known are {shown}"
        )
    raise NotFoundError("--gateway", given, "has sent nothing to this database", f"known are {shown}")
