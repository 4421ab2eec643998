"""`smartwatts-trainer gateway`: who sends, who looks like a copy, and who may not any more."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options
from cloud_trainer.commands.table import instant, table
from firmware_bridge.errors import Exit

if TYPE_CHECKING:
    from cloud_trainer.database import Connection


def add(commands: Commands) -> None:
    """Declare the commands."""
    actions = commands.add_parser("gateway", help="who sends, and who may not any more")
    subcommands = actions.add_subparsers(required=True, metavar="ACTION")
    listing = subcommands.add_parser("list", help="show all: last seen, software, what looks like a copy")
    listing.set_defaults(run=options.explains_database(run_list))
    revoke = subcommands.add_parser("revoke", help="take nothing more from it; it goes on measuring")
    revoke.set_defaults(run=options.explains_database(run_revoke))
    restore = subcommands.add_parser(
        "restore", help="take it back (it sends from its next start on), or believe it again"
    )
    restore.set_defaults(run=options.explains_database(run_restore))
    for parser in (revoke, restore):
        parser.add_argument("gateway", metavar="ID", help="its name, as shown by list")
    for parser in (listing, revoke, restore):
        options.add_dsn(parser)
        options.add_organisation(parser)
        options.add_json(parser)


def run_list(arguments: argparse.Namespace) -> int:
    """Show all gateways."""
    import msgspec

    from cloud_trainer.database import connect
    from cloud_trainer.fleet.gateways import gateways
    from cloud_trainer.fleet.organisations import only_organisation
    from firmware_bridge.clock import SystemClock

    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        found = gateways(connection, organisation, SystemClock().utc_us())
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return Exit.OK
    rows = [
        (
            *(one.gateway, one.site, one.status, instant(one.seen_us), one.software or "-", one.hardware or "-"),
            *(next(iter(one.keys), "-"), "-" if one.suspect_since_us is None else instant(one.suspect_since_us)),
        )
        for one in found
    ]
    heads = ("gateway", "site", "status", "last seen", "software", "hardware", "key", "a copy since")
    sys.stdout.write(table(heads, rows))
    return Exit.OK


def run_revoke(arguments: argparse.Namespace) -> int:
    """Take nothing more from one."""
    from cloud_trainer.fleet.gateways import revoke_gateway

    return _change(arguments, revoke_gateway, "revoked")


def run_restore(arguments: argparse.Namespace) -> int:
    """Take one back."""
    from cloud_trainer.fleet.gateways import restore_gateway

    return _change(arguments, restore_gateway, "active")


def _change(arguments: argparse.Namespace, change: "Callable[[Connection, str, str, int], None]", status: str) -> int:
    from cloud_trainer.database import connect
    from cloud_trainer.fleet.organisations import only_organisation
    from firmware_bridge.clock import SystemClock

    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        change(connection, organisation, arguments.gateway, SystemClock().utc_us())
    if arguments.json:
        sys.stdout.write(json.dumps({"gateway": arguments.gateway, "status": status}) + "\n")
    else:
        sys.stdout.write(f"{arguments.gateway} is {status}\n")
    return Exit.OK
