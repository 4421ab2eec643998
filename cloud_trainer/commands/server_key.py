"""`smartwatts-trainer server-key`: the keys that an ingest signs its answers with."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit
from firmware_bridge.reading import US_PER_S

if TYPE_CHECKING:
    from cloud_trainer.ingest.server_key import ServerKey


def add(commands: Commands) -> None:
    """Declare the commands."""
    actions = commands.add_parser("server-key", help="keys that ingest signs its answers with")
    subcommands = actions.add_subparsers(required=True, metavar="ACTION")
    listing = subcommands.add_parser("list", help="show them, oldest first; installers compare the last one")
    listing.set_defaults(run=run_list)
    create = subcommands.add_parser("create", help="make one more; start the ingest anew within a day")
    create.set_defaults(run=run_create)
    for parser in (listing, create):
        parser.add_argument("--keys", type=Path, required=True, metavar="FOLDER", help="as ingest has it")
        options.add_json(parser)


def run_list(arguments: argparse.Namespace) -> int:
    """Show the keys."""
    from cloud_trainer.ingest.server_key import load_keys

    _print(load_keys(arguments.keys), as_json=arguments.json)
    return Exit.OK


def run_create(arguments: argparse.Namespace) -> int:
    """Make one more key."""
    from cloud_trainer.ingest.server_key import create_key
    from firmware_bridge.clock import SystemClock

    _print([create_key(arguments.keys, SystemClock().utc_us())], as_json=arguments.json)
    return Exit.OK


def _print(keys: "list[ServerKey]", *, as_json: bool) -> None:
    if as_json:
        told = [{"key": key.signer.key_id, "made_us": key.made_us} for key in keys]
        sys.stdout.write(json.dumps(told) + "\n")
        return
    for key in keys:
        made = datetime.fromtimestamp(key.made_us / US_PER_S, UTC)
        sys.stdout.write(f"{key.signer.key_id}  made {made:%Y-%m-%d %H:%M:%S} UTC\n")
