"""Organisations: the unit of isolation. Whoever asks for anything says whose. A shell."""

import msgspec

from cloud_trainer.database import Connection
from firmware_bridge.errors import ConflictError, NotFoundError, SettingError
from gateway.contract.batches import GatewayId

# What is shown of a list in an error.
_SHOWN_MAX = 5


class Organisation(msgspec.Struct, frozen=True):
    """An organisation and how much it has."""

    organisation: str
    name: str
    sites: int
    gateways: int


_LIST = """
SELECT organisation_id, name, (SELECT count(*) FROM site WHERE site.organisation_id = organisation.organisation_id),
       (SELECT count(*) FROM gateway WHERE gateway.organisation_id = organisation.organisation_id)
FROM organisation ORDER BY organisation_id
"""


def check_name(field: str, value: str) -> str:
    """`value`, which can name an organisation, a site or a gateway.

    Raises:
        SettingError: it cannot.
    """
    try:
        return msgspec.convert(value, GatewayId)
    except msgspec.ValidationError as error:
        next_step = 'use small letters, digits and "-", at most 63 of them'
        raise SettingError(field, repr(value), "is no name", next_step) from error


def create_organisation(connection: Connection, organisation: str, name: str) -> None:
    """Make an organisation; `name` is what people call it.

    Raises:
        SettingError: it cannot be called so.
        ConflictError: there is one of that name.
    """
    check_name("organisation", organisation)
    if not name.isprintable():
        raise SettingError("--name", name, "cannot be printed", "give a name of one line")
    made = connection.execute(
        "INSERT INTO organisation (organisation_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (organisation, name),
    )
    if made.rowcount == 0:
        raise ConflictError("organisation", organisation, "is there already", "give another name")


def organisations(connection: Connection) -> list[Organisation]:
    """All of them, by name."""
    return [Organisation(*row) for row in connection.execute(_LIST)]


def only_organisation(connection: Connection, given: str | None) -> str:
    """The organisation to work for: `given`, or the only one there is.

    Raises:
        NotFoundError: there is none of that name.
        SettingError: there are several, and none is given.
    """
    known = [str(name) for (name,) in connection.execute("SELECT organisation_id FROM organisation ORDER BY 1")]
    if given is None and len(known) == 1:
        return known[0]
    if given is not None and given in known:
        return given
    if given is not None:
        next_step = "look at `smartwatts-trainer organisation list`"
        raise NotFoundError("--organisation", given, "is not among the organisations of this database", next_step)
    if not known:
        next_step = "make one with `smartwatts-trainer organisation create NAME`"
        raise NotFoundError("--organisation", "(not given)", "there is no organisation yet", next_step)
    shown = ", ".join(known[:_SHOWN_MAX])
    raise SettingError("--organisation", "(not given)", "is needed unless there is only one", f"known are {shown}")
