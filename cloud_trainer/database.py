"""Which database, and whose data in it: what commands are told with --dsn, --organisation, --gateway. A shell."""

from pathlib import Path
from typing import Any, NamedTuple

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


def refuse_open_password(given: str) -> None:
    """Every user of the machine can read a command line.

    Raises:
        SettingError: `given` is not `@FILE`, and holds a password.
    """
    if not given.startswith("@") and "password" in psycopg.conninfo.conninfo_to_dict(read_dsn(given)):
        next_step = "write the DSN into a file of mode 0600 and give --dsn @FILE"
        raise SettingError("--dsn", "(not shown)", "holds a password, which the process list shows", next_step)


def connect(given: str) -> Connection:
    """A connection to the database meant by `given`.

    Raises:
        SettingError: `given` is not a DSN.
        psycopg.OperationalError: the database is away.
    """
    return psycopg.connect(read_dsn(given))


class OwnedGateway(NamedTuple):
    """A gateway and whose it is: every query says both, through `gateway_of` of the schema.

    So nobody reads what belongs to another organisation, whatever gateway is named.
    """

    organisation: str
    gateway: str


def only_gateway(connection: Connection, organisation: str, given: str | None) -> OwnedGateway:
    """The gateway of `organisation` to look at: `given`, or the only one that has sent anything.

    Raises:
        NotFoundError: it has sent nothing, or nobody of that organisation has.
        SettingError: there are several, and none is given.
    """
    rows = connection.execute(
        "SELECT DISTINCT gateway_id FROM generation JOIN gateway USING (gateway_id)"
        " WHERE organisation_id = %s ORDER BY 1",
        (organisation,),
    )
    known = [str(name) for (name,) in rows]
    if given is None and len(known) == 1:
        return OwnedGateway(organisation, known[0])
    if given is not None and given in known:
        return OwnedGateway(organisation, given)
    if not known:
        next_step = "let a gateway of it upload to `smartwatts-trainer ingest` first, or name another --organisation"
        raise NotFoundError("--gateway", given or "(not given)", f"{organisation} has sent nothing yet", next_step)
    shown = ", ".join(known[:5])
    if given is None:
        raise SettingError(
            "--gateway", "(not given)", f"is needed unless {organisation} has one alone", f"known are {shown}"
        )
    raise NotFoundError("--gateway", given, "has sent nothing to this database", f"known are {shown}")
