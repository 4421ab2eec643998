"""`smartwatts-trainer once`: the whole companion in one command, from recordings to a signed release.

Run it by a timer, as often as you like: it publishes what is better than what gateways run, and nothing else.
Model by model: what is not better stays as it is.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cloud_trainer.bundle import check_folder
from cloud_trainer.commands import Commands, options, source, training
from cloud_trainer.commands.training import say
from cloud_trainer.dataset import Dataset, require_fit
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.repository import followed_channels

if TYPE_CHECKING:
    from cloud_trainer.bundle import BundledModel
    from cloud_trainer.once import InUse, Shop
    from cloud_trainer.run import Job, Run
    from cloud_trainer.training_report import TrainingReport


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
    parser.add_argument(
        "--if-as-good",
        action="store_true",
        help="publish also what is as good as what gateways run: that stays only where it is better beyond chance",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the bundle there, too")
    options.add_json(parser)
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Do all of it; exit 0 when what is published is the best there is."""
    from cloud_trainer.fleet.organisations import check_name
    from cloud_trainer.once import Shop, ensure_keys, in_use
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
        old = Path(scratch) / "old"
        old.mkdir()
        before = in_use(shop, old, now_us)
        try:
            done, report = training.trained(arguments, job, dataset, command="once", now_us=now_us)
            if not done.models:
                say("failed: nothing is better than the naive forecasts; nothing was published")
                return Exit.FAILED
            trained = _Trained(job, dataset, done, report, arguments.if_as_good)
            told = _published(trained, shop, before, Path(scratch), arguments.out)
        except UNSHIPPABLE as error:
            say(f"failed: {error}")
            return Exit.NOT_VERIFIED
    told |= {"left_out": done.left_out}
    sys.stdout.write(f"{json.dumps(told)}\n" if arguments.json else f"{told['verdict']}\n")
    return Exit.OK


class _Trained(NamedTuple):
    """What a run had, and what came of it."""

    job: "Job"
    dataset: Dataset
    done: "Run"
    report: "TrainingReport"
    # whether what is as good is published, too
    if_as_good: bool


def _published(trained: _Trained, shop: "Shop", before: "InUse", scratch: Path, out: Path | None) -> dict[str, Any]:
    """Publish what is better than what is in use, with the rest of that; what came of it."""
    from cloud_trainer.once import publish
    from cloud_trainer.run import write

    new, bundle = scratch / "new", out or scratch / "bundle"
    write(new, trained.done.models, trained.report, trained.job, trained.dataset)
    better, kept = _chosen(trained, new, before)
    if not better:
        verdict = f"nothing is published: {before.words} is {'' if trained.if_as_good else 'as good or '}better"
        return {"published": False, "channel": shop.channel, "verdict": verdict}
    write(bundle, better, trained.report, trained.job, trained.dataset, kept)
    published = publish(shop, bundle, UtcUs(trained.report.created_us))
    for warning in published.warnings:
        say(f"smartwatts-trainer: {warning}")
    verdict = f"published release {published.release} on {shop.channel}: bundle {published.digest}"
    return {
        "published": True,
        "channel": shop.channel,
        "release": published.release,
        "digest": published.digest,
        "root": str(published.root),
        "models": [model.name for model in better],
        "kept": [model.name for model in kept],
        "verdict": f"{verdict}; gateways trust {published.root}",
    }


def _chosen(trained: _Trained, new: Path, before: "InUse") -> "tuple[list[BundledModel], list[BundledModel]]":
    """Model by model what is better: of those that were trained, and of those in use, which stay."""
    from cloud_trainer.candidates import BETTER_SHARE_MIN
    from cloud_trainer.commands.compare import shown
    from cloud_trainer.once import models_of
    from cloud_trainer.trial import duel, read_manifest

    models = trained.done.models
    try:
        read_manifest(before.folder)
    except SettingError as error:
        say(f"{before.words} is for no gateway of today: {error.problem}")
        return models, []
    found = duel(before.folder, new, trained.dataset)
    say(f"A is {before.words}, B is new:\n{shown(found)}".rstrip())
    wins = {
        one.model
        for one in found.models
        if one.b_better_share >= BETTER_SHARE_MIN or (trained.if_as_good and one.a_better_share < BETTER_SHARE_MIN)
    }
    better = [model for model in models if model.name in wins]
    # What nothing new replaces stays: a gateway sees by itself where naive forecasts are better.
    replaced = {model.name for model in better}
    return better, [model for model in models_of(before.folder) if model.name not in replaced]


def _refuse_open_keys(keys: Path, repository: Path) -> None:
    """What lies in the repository is served to everybody."""
    if keys.resolve().is_relative_to(repository.resolve()):
        raise SettingError("--keys", str(keys), "lies in the folder that is published", "name one outside of it")
