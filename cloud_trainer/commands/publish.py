"""`smartwatts-trainer publish`: a bundle becomes a signed release of a channel."""

import argparse
import json
import sys
from pathlib import Path

from cloud_trainer.commands import Commands
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit
from gateway.contract.repository import organisation_channel


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("publish", help="sign a bundle and put it into a repository")
    parser.add_argument("--repository", type=Path, required=True, help="folder of static files; made when missing")
    parser.add_argument("--keys", type=Path, required=True, help="folder of the signing keys")
    parser.add_argument("--bundle", type=Path, required=True, help="folder with manifest.json and its files")
    parser.add_argument("--channel", default="stable", help="who gets it; default stable")
    parser.add_argument("--organisation", metavar="NAME", help="only gateways of NAME get it, in place of the rest")
    parser.add_argument("--release", type=int, required=True, help="must be above the one published before")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Publish; print the digest by which gateways and records name the bundle."""
    from cloud_trainer.fleet.organisations import check_name
    from cloud_trainer.keys import ensure_channel_key
    from cloud_trainer.publish import plan, write

    now_us, channel = SystemClock().utc_us(), arguments.channel
    if arguments.organisation is not None:
        channel = organisation_channel(channel, check_name("--organisation", arguments.organisation))
        ensure_channel_key(arguments.keys, channel)
    publication = plan(arguments.repository, arguments.keys, arguments.bundle, channel, arguments.release, now_us)
    write(arguments.repository, publication)
    for warning in publication.warnings:
        print(f"smartwatts-trainer: {warning}", file=sys.stderr)  # noqa: T201
    root = str(arguments.repository / publication.root)
    if arguments.json:
        facts = {"channel": publication.channel, "release": publication.release, "digest": publication.digest}
        print(json.dumps(facts | {"root": root}))  # noqa: T201
        return Exit.OK
    print(f"published release {publication.release} on {publication.channel}: bundle {publication.digest}")  # noqa: T201
    print(f"gateways trust {root}")  # noqa: T201
    return Exit.OK
