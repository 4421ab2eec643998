"""`smartwatts-trainer train`: from recorded or generated sites to a proven bundle. Needs TensorFlow."""

import argparse
import json
import sys
from pathlib import Path

from msgspec import to_builtins

from cloud_trainer.bundle import check_folder
from cloud_trainer.commands import Commands, options, source, training
from cloud_trainer.commands.training import say
from cloud_trainer.dataset import Dataset, require_fit
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit, SettingError


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("train", help="train forecasters on sites and write their bundle")
    source.add(parser, generated=True)
    training.add(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the bundle goes")
    parser.add_argument("--dry-run", action="store_true", help="look at the data and say what would be trained")
    options.add_json(parser)
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Train, prove, write; or say what would be."""
    now_us = SystemClock().utc_us()
    source.check(arguments)
    if arguments.dry_run:
        dataset = source.read(arguments, now_us, say)
        require_fit(dataset)
        return _rehearse(arguments, dataset)
    if arguments.out is None:
        raise SettingError("--out", "(not given)", "is needed", "name a new folder, or give --dry-run")
    check_folder(arguments.out)
    job = training.job_of(arguments)
    dataset = source.read(arguments, now_us, say)
    require_fit(dataset)
    from cloud_trainer.run import UNSHIPPABLE, write

    try:
        done, report = training.trained(arguments, job, dataset, command="train", now_us=now_us)
        if not done.models:
            say("failed: nothing is better than the naive forecasts; nothing was written")
            return Exit.FAILED
        digest = write(arguments.out, done.models, report, job, dataset)
    except UNSHIPPABLE as error:
        say(f"failed: {error}")
        return Exit.NOT_VERIFIED
    if arguments.json:
        told = {"digest": digest, "models": [model.name for model in done.models], "left_out": done.left_out}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        size = sum(len(model.data) for model in done.models)
        sys.stdout.write(f"bundle {digest} in {arguments.out}: {len(done.models)} models, {size / 1000:.0f} kB\n")
    return Exit.OK


def _rehearse(arguments: argparse.Namespace, dataset: Dataset) -> int:
    """Without TensorFlow: checks, and the sizes of the parts."""
    from cloud_trainer.run import Job, rehearsed

    job = Job(kinds=tuple(arguments.model or training.KINDS))
    lines = rehearsed(job, dataset)
    if arguments.json:
        verdicts = [to_builtins(one) for one in dataset.verdicts]
        sys.stdout.write(json.dumps({"sites": verdicts, "models": lines}) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    return Exit.OK
