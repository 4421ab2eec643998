"""`smartwatts-gateway fetch`: one check for a new bundle; says how it ended, with `--json` as an `Outcome`."""

import argparse
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from firmware_bridge.errors import Exit, SettingError
from gateway import config as settings
from gateway.contract.manifest import ManifestError
from gateway.contract.repository import followed_channels
from gateway.core.update import NO_BUNDLE, Outcome, OutcomeKind, encode_outcome
from gateway.shell.bundle_files import STATE_NAME, BundleFiles
from gateway.shell.identity import IdentityFolder
from gateway.shell.update_fetch import Check, fetch
from gateway.shell.verified_bundle import BundleMissingError

# The meters come first: the check yields the processor to them.
_NICENESS = 10
_DIGEST = re.compile(r"[0-9a-f]{64}")

_EXITS: dict[OutcomeKind, Exit] = {
    "no_update": Exit.OK,
    "installed": Exit.OK,
    "refused": Exit.NOT_VERIFIED,
    "network": Exit.UNREACHABLE,
    "expired": Exit.NOT_VERIFIED,
    "local": Exit.FAILED,
}
_WORDS: dict[OutcomeKind, str] = {
    "no_update": "nothing new",
    "installed": "installed",
    "refused": "refused",
    "network": "not reached",
    "expired": "too old, or this clock is wrong",
    "local": "failed on this machine",
}


def models_folder(config: settings.Config) -> Path:
    """Where the gateway with `config` keeps its bundles."""
    return Path(config.store.folder) / "models"


def check_of(config: settings.Config, current: str) -> Check:
    """The check that `config` asks for, on the channels of the organisation that this gateway belongs to.

    Raises:
        SettingError: the configuration names no repository, or no readable root; or the identity is damaged.
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
        channels=followed_channels(update.channel, _organisation(config)),
        models=models_folder(config),
        current=current,
        budget_s=update.timeout_s,
    )


def _organisation(config: settings.Config) -> str | None:
    """Whose gateway this is, as the cloud said when it was enrolled."""
    return IdentityFolder(Path(config.store.folder), config.site.gateway_id).organisation


def current_digest(models: Path, given: str | None) -> str:
    """The digest of the bundle that runs: as `given`, else as the gateway's own state says.

    Raises:
        SettingError: what is given is no digest, or the state does not say.
    """
    if given is not None:
        if given != NO_BUNDLE and not _DIGEST.fullmatch(given):
            next_step = f'give its 64 hexadecimal digits, or "{NO_BUNDLE}" when no bundle runs'
            raise SettingError("--current", repr(given), "is not a digest", next_step)
        return given
    try:
        return BundleFiles(models).current_digest()
    except (BundleMissingError, ManifestError):
        return NO_BUNDLE  # as the gateway says whose software is not whole
    except (OSError, ValueError) as error:
        trouble = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else f"is damaged ({error})"
        raise SettingError(
            "--current",
            "(not given)",
            f"{models / STATE_NAME} {trouble}",
            "start the gateway, which mends it, or give the digest of the bundle that runs",
        ) from error


def sentence(outcome: Outcome) -> str:
    """The outcome for people, without a full stop."""
    release = "" if outcome.release is None else f"release {outcome.release}"
    bundle = ", ".join(filter(None, [release, f"bundle {outcome.digest}"]))
    match outcome.outcome:
        case "installed":
            facts = [f"{bundle}; the gateway takes it up with its next check"]
        case "no_update" if not outcome.reason:
            facts = [f"{bundle}, runs already"]
        case "refused":
            facts = [release, outcome.reason]
        case _:
            facts = [outcome.reason]
    return ": ".join([_WORDS[outcome.outcome], *filter(None, facts)])


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command `fetch`."""
    parser = commands.add_parser("fetch", help="check once for a new model bundle and install it")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--current",
        metavar="DIGEST",
        help=f"bundle that runs, or {NO_BUNDLE}; left out, the gateway's own state says it",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as one line of JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do one check and say its outcome; the exit code tells it roughly."""
    config = settings.load_file(arguments.config)
    check = check_of(config, current_digest(models_folder(config), arguments.current))
    os.nice(_NICENESS)
    outcome = fetch(check)
    if arguments.json:
        sys.stdout.buffer.write(encode_outcome(outcome))
    else:
        sys.stdout.write(sentence(outcome) + "\n")
    return _EXITS[outcome.outcome]
