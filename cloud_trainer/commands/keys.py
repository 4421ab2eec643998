"""`smartwatts-trainer keys create`: the signing keys of a bundle repository."""

import argparse
import json
from pathlib import Path

from cloud_trainer.commands import Commands
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("keys", help="signing keys of a bundle repository")
    create = parser.add_subparsers(required=True, metavar="ACTION").add_parser("create", help="make new keys")
    create.add_argument("--folder", type=Path, required=True, help="where; must not hold keys yet")
    create.add_argument("--json", action="store_true", help="print JSON")
    create.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the keys; print their identifiers, which are public."""
    from cloud_trainer.keys import create_keys

    created = create_keys(arguments.folder)
    if arguments.json:
        print(json.dumps({"folder": str(arguments.folder), "keys": created}))  # noqa: T201
        return Exit.OK
    for name, identifier in created.items():
        print(f"{name:<16} {identifier}")  # noqa: T201
    print("Keep the root keys apart from each other and off this machine.")  # noqa: T201
    return Exit.OK
