"""`smartwatts-gateway fetch`: one check for a new bundle; prints its `Outcome` as one line of JSON."""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from firmware_bridge.errors import Exit, SettingError
from gateway import config as settings
from gateway.core.update import OutcomeKind, encode_outcome
from gateway.shell.update_fetch import Check, fetch

# The meters come first: the check yields the processor to them.
_NICENESS = 10

_EXITS: dict[OutcomeKind, Exit] = {
    "no_update": Exit.OK,
    "installed": Exit.OK,
    "refused": Exit.NOT_VERIFIED,
    "network": Exit.UNREACHABLE,
    "expired": Exit.NOT_VERIFIED,
    "local": Exit.FAILED,
}


def models_folder(config: settings.Config) -> Path:
    """Where the gateway with `config` keeps its bundles."""
    return Path(config.store.folder) / "models"


def check_of(config: settings.Config, current: str) -> Check:
    """The check that `config` asks for.

    Raises:
        SettingError: the configuration names no repository, or no readable root.
    """
    update = config.update
    if update is None:
        raise SettingError("update", "(missing)", "is needed to fetch bundles", "add it with url and root")
    try:
        root = Path(update.root).read_bytes()
    except OSError as error:
        raise SettingError(
            "update.root", update.root, f"cannot be read ({error.strerror})", "copy root.json of the repository there"
        ) from error
    try:
        urlsplit(update.url).port  # noqa: B018 - reading it parses it
    except ValueError as error:
        raise SettingError(
            "update.url", update.url, f"is no address ({error})", "write http://host/folder"
        ) from error
    return Check(
        url=update.url,
        root=root,
        channel=update.channel,
        models=models_folder(config),
        current=current,
        budget_s=update.timeout_s,
    )


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command `fetch`."""
    parser = commands.add_parser("fetch", help="check once for a new model bundle and install it")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--current", required=True, metavar="DIGEST", help="digest of the bundle that runs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do one check and print its outcome as one line of JSON; the exit code tells it roughly."""
    os.nice(_NICENESS)
    outcome = fetch(check_of(settings.load_file(arguments.config), arguments.current))
    sys.stdout.buffer.write(encode_outcome(outcome))
    return _EXITS[outcome.outcome]
