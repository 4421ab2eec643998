"""`smartwatts-trainer claim`: one-time codes that let new gateways in."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options
from cloud_trainer.commands.table import instant, table
from firmware_bridge.errors import ConflictError, Exit, SettingError

if TYPE_CHECKING:
    from cloud_trainer.fleet.claims import NewClaim, Terms


def add(commands: Commands) -> None:
    """Declare the commands."""
    actions = commands.add_parser("claim", help="one-time codes that let new gateways in")
    subcommands = actions.add_subparsers(required=True, metavar="ACTION")
    create = subcommands.add_parser("create", help="make codes; they are shown once")
    create.add_argument("--site", metavar="NAME", help="where the gateway will stand; made when it is new")
    whose = create.add_mutually_exclusive_group()
    whose.add_argument("--gateway", metavar="ID", help="only a gateway of this name may use the code")
    whose.add_argument(
        "--replaces", metavar="ID", help="the lost gateway whose name and history goes on; its keys end when it does"
    )
    create.add_argument("--valid-hours", type=int, default=72, metavar="HOURS", help="default: %(default)s")
    create.add_argument("--count", type=int, default=1, metavar="NUMBER", help="how many codes; default: %(default)s")
    create.add_argument(
        "--code-file", type=Path, metavar="FILE", help="write the codes there, for your eyes alone, and print none"
    )
    create.set_defaults(run=options.explains_database(run_create))
    listing = subcommands.add_parser("list", help="show all claims, without their codes")
    listing.set_defaults(run=options.explains_database(run_list))
    revoke = subcommands.add_parser("revoke", help="take back a claim that nobody used")
    revoke.add_argument("claim", metavar="NUMBER", help="its number, as shown by list")
    revoke.set_defaults(run=options.explains_database(run_revoke))
    for parser in (create, listing, revoke):
        options.add_dsn(parser)
        options.add_organisation(parser)
        options.add_json(parser)


def run_create(arguments: argparse.Namespace) -> int:
    """Make claims; show their codes, this once."""
    from cloud_trainer.announce import announce
    from cloud_trainer.database import connect
    from cloud_trainer.fleet.claims import Terms, create_claims
    from cloud_trainer.fleet.organisations import only_organisation
    from firmware_bridge.clock import SystemClock

    terms = Terms(
        site=arguments.site,
        gateway=arguments.replaces or arguments.gateway,
        replaces=arguments.replaces is not None,
        valid_hours=arguments.valid_hours,
        count=arguments.count,
    )
    if arguments.code_file is not None and arguments.code_file.exists():
        problem = "is there already, and may hold a code that nobody has used yet"
        raise ConflictError("--code-file", str(arguments.code_file), problem, "name another file")
    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        made = create_claims(connection, organisation, terms, SystemClock().utc_us())
        if arguments.code_file is not None:
            # before it is final: a code that could be written nowhere is no claim
            announce("--code-file", arguments.code_file, "".join(f"{claim.code}\n" for claim in made))
    _tell(arguments, organisation, terms, made)
    return Exit.OK


def run_list(arguments: argparse.Namespace) -> int:
    """Show all claims."""
    import msgspec

    from cloud_trainer.database import connect
    from cloud_trainer.fleet.claims import claims
    from cloud_trainer.fleet.organisations import only_organisation
    from firmware_bridge.clock import SystemClock

    with connect(arguments.dsn) as connection:
        found = claims(connection, only_organisation(connection, arguments.organisation), SystemClock().utc_us())
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return Exit.OK
    rows = [
        (
            *(str(one.claim), one.site, one.gateway or "-", one.replaces or "-"),
            *(one.state, instant(one.expires_us), instant(one.used_us)),
            "-" if one.contested_us is None else f"CAME AGAIN WITH ANOTHER KEY {instant(one.contested_us)}",
        )
        for one in found
    ]
    heads = ("claim", "site", "for gateway", "replaces", "state", "valid until", "used", "alarm")
    sys.stdout.write(table(heads, rows))
    return Exit.OK


def run_revoke(arguments: argparse.Namespace) -> int:
    """Take one back."""
    from cloud_trainer.database import connect
    from cloud_trainer.fleet.claims import revoke_claim
    from cloud_trainer.fleet.organisations import only_organisation
    from firmware_bridge.clock import SystemClock

    number = _number(arguments.claim)
    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        revoke_claim(connection, organisation, number, SystemClock().utc_us())
    told = json.dumps({"claim": number, "state": "revoked"}) if arguments.json else f"claim {number} is revoked"
    sys.stdout.write(f"{told}\n")
    return Exit.OK


def _number(typed: str) -> int:
    # PostgreSQL's bigint has 19 digits
    if not (typed.isascii() and typed.isdigit() and len(typed) <= 18):
        raise SettingError("claim", typed, "is no number of a claim", "look at `smartwatts-trainer claim list`")
    return int(typed)


def _tell(arguments: argparse.Namespace, organisation: str, terms: "Terms", made: "list[NewClaim]") -> None:
    shows_codes = arguments.code_file is None
    if arguments.json:
        facts = [{"claim": one.claim} | ({"code": one.code} if shows_codes else {}) for one in made]
        told = {"organisation": organisation, "site": terms.site, "gateway": terms.gateway, "claims": facts}
        sys.stdout.write(json.dumps(told) + "\n")
        return
    numbers = ", ".join(str(one.claim) for one in made)
    where = "shown this once" if shows_codes else f"in {arguments.code_file}"
    sys.stderr.write(f"claim {numbers} of {organisation}: valid for {terms.valid_hours} h, code {where}\n")
    if shows_codes:
        sys.stdout.write("".join(f"{one.code}\n" for one in made))
