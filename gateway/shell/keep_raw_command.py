"""`smartwatts-gateway keep-raw`: keep the single readings of these minutes, else summed up and forgotten."""

import argparse
import sys
from pathlib import Path

import msgspec

from firmware_bridge.errors import Exit, SettingError
from gateway import config as settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("keep-raw", help="keep the single readings of these minutes")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--before", type=int, default=300, metavar="SECONDS", help="how far back; default %(default)s"
    )
    parser.add_argument("--after", type=int, default=300, metavar="SECONDS", help="how far on; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print what was asked as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask the gateway that runs with this configuration."""
    # help is given without what only a running gateway needs
    from gateway.shell.raw_request import SECONDS_MAX, RawRequest, ask

    for field, seconds in (("--before", arguments.before), ("--after", arguments.after)):
        if not 0 <= seconds <= SECONDS_MAX:
            problem = f"is not within 0..{SECONDS_MAX} seconds"
            raise SettingError(field, str(seconds), problem, 'for longer set record.raw = "all"')
    request = RawRequest(arguments.before, arguments.after)
    ask(Path(settings.load_file(arguments.config).store.folder), request)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(request).decode() + "\n")
    else:
        sys.stderr.write(
            f"smartwatts-gateway: keeps the single readings of the last {request.before_s} s that it still has, "
            f"and of the next {request.after_s} s\n"
        )
    return Exit.OK
