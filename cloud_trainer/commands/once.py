"""`smartwatts-trainer once`: the whole companion in one command, from recordings to a signed release.

Run it by a timer, as often as you like: it publishes what is better than what gateways run, and nothing else.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_trainer.bundle import check_folder
from cloud_trainer.commands import Commands, options, source, training
from cloud_trainer.commands.training import say
from cloud_trainer.dataset import Dataset, require_fit
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.repository import followed_channels

if TYPE_CHECKING:
    from cloud_trainer.once import InUse, Shop


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("once", help="train, judge, sign and publish what is better than what gateways run")
    source.add(parser, generated=True)
    training.add(parser)
    parser.add_argument(
        "--publish", type=Path, required=True, metavar="FOLDER", help="of static files; made when missing"
    )
    parser.add_argument(
        "--keys", type=Path, metavar="FOLDER", help="of the signing keys; made when missing; default: PUBLISH-keys"
    )
    parser.add_argument(
        "--channel", default="stable", help="who gets it; with --organisation those of it alone; default %(default)s"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the bundle there, too")
    options.add_json(parser)
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Do all of it; exit 0 when what is published is the best there is."""
    from cloud_trainer.fleet.organisations import check_name
    from cloud_trainer.once import Shop, ensure_keys
    from cloud_trainer.repository import check_channel
    from cloud_trainer.run import UNSHIPPABLE

    now_us = SystemClock().utc_us()
    source.check(arguments)
    if arguments.organisation is not None:
        check_name("--organisation", arguments.organisation)
    check_channel(arguments.channel)
    if arguments.out is not None:
        check_folder(arguments.out)
    keys = arguments.keys or arguments.publish.with_name(f"{arguments.publish.name}-keys")
    _refuse_open_keys(keys, arguments.publish)
    shop = Shop(arguments.publish, keys, followed_channels(arguments.channel, arguments.organisation))
    job = training.job_of(arguments)
    dataset = source.read(arguments, now_us, say)
    require_fit(dataset)
    if ensure_keys(shop):
        say(f"keys made in {keys}: keep the root keys apart from each other and off this machine")
    with tempfile.TemporaryDirectory(prefix="smartwatts-once-") as scratch:
        bundle = arguments.out or Path(scratch) / "bundle"
        try:
            done, digest = training.bundled(arguments, job, dataset, bundle, command="once", now_us=now_us)
            if not digest:
                say("failed: nothing is better than the naive forecasts; nothing was published")
                return Exit.FAILED
            told: dict[str, Any] = {"models": [model.name for model in done.models], "left_out": done.left_out}
            told |= _published(shop, bundle, dataset, Path(scratch) / "in-use", now_us)
        except UNSHIPPABLE as error:
            say(f"failed: {error}")
            return Exit.NOT_VERIFIED
    sys.stdout.write(f"{json.dumps(told)}\n" if arguments.json else f"{told['verdict']}\n")
    return Exit.OK


def _published(shop: "Shop", bundle: Path, dataset: Dataset, scratch: Path, now_us: UtcUs) -> dict[str, Any]:
    """Publish the bundle if it is better than what is in use; what came of it."""
    from cloud_trainer.once import in_use, publish

    scratch.mkdir()
    before = in_use(shop, scratch, now_us)
    better, reason = _is_better(bundle, before, dataset)
    if not better:
        return {"published": False, "channel": shop.channel, "verdict": f"nothing is published: {reason}"}
    out = publish(shop, bundle, now_us)
    for warning in out.warnings:
        say(f"smartwatts-trainer: {warning}")
    verdict = f"published release {out.release} on {shop.channel}: bundle {out.digest}; gateways trust {out.root}"
    facts = {"release": out.release, "digest": out.digest, "root": str(out.root), "reason": reason}
    return {"published": True, "channel": shop.channel, "verdict": verdict, **facts}


def _is_better(bundle: Path, before: "InUse", dataset: Dataset) -> tuple[bool, str]:
    """Whether the bundle is better than what was before, beyond chance; and the reason."""
    from cloud_trainer.commands.compare import shown
    from cloud_trainer.trial import duel, read_manifest

    try:
        read_manifest(before.folder)
    except SettingError as error:
        return True, f"{before.words} is for no gateway of today ({error.problem})"
    found = duel(before.folder, bundle, dataset)
    say(f"A is {before.words}, B is new:\n{shown(found)}".rstrip())
    words = {
        "a": f"{before.words} is better",
        "b": f"better than {before.words}",
        "neither": f"{before.words} is as good",
    }
    return found.better == "b", words[found.better]


def _refuse_open_keys(keys: Path, repository: Path) -> None:
    """What lies in the repository is served to everybody."""
    if keys.resolve().is_relative_to(repository.resolve()):
        raise SettingError("--keys", str(keys), "lies in the folder that is published", "name one outside of it")
