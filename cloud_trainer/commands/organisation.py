"""`smartwatts-trainer organisation`: whose gateways there are."""

import argparse
import json
import sys

from cloud_trainer.commands import Commands, options
from cloud_trainer.commands.table import table
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the commands."""
    actions = commands.add_parser("organisation", help="whose sites and gateways there are; none sees another's")
    subcommands = actions.add_subparsers(required=True, metavar="ACTION")
    create = subcommands.add_parser("create", help="make a new one")
    create.add_argument("organisation", metavar="NAME", help='small letters, digits and "-"')
    create.add_argument("--name", metavar="TEXT", help="what people call it; default: NAME")
    create.set_defaults(run=options.explains_database(run_create))
    listing = subcommands.add_parser("list", help="show all")
    listing.set_defaults(run=options.explains_database(run_list))
    for parser in (create, listing):
        options.add_dsn(parser)
        options.add_json(parser)


def run_create(arguments: argparse.Namespace) -> int:
    """Make one."""
    from cloud_trainer.database import connect
    from cloud_trainer.fleet.organisations import create_organisation

    name = arguments.organisation if arguments.name is None else arguments.name
    with connect(arguments.dsn) as connection:
        create_organisation(connection, arguments.organisation, name)
    if arguments.json:
        sys.stdout.write(json.dumps({"organisation": arguments.organisation, "name": name}) + "\n")
    else:
        sys.stdout.write(f"made: {arguments.organisation} ({name})\n")
    return Exit.OK


def run_list(arguments: argparse.Namespace) -> int:
    """Show all."""
    import msgspec

    from cloud_trainer.database import connect
    from cloud_trainer.fleet.organisations import organisations

    with connect(arguments.dsn) as connection:
        found = organisations(connection)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return Exit.OK
    rows = [(one.organisation, one.name, str(one.sites), str(one.gateways)) for one in found]
    sys.stdout.write(table(("organisation", "name", "sites", "gateways"), rows))
    return Exit.OK
