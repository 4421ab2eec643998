"""`smartwatts-trainer doctor`: what this machine can train, what there is to train on, and what would come of it."""

import argparse
import sys

from cloud_trainer.commands import Commands, options, source
from cloud_trainer.commands.training import KINDS, say
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("doctor", help="what this machine can do, and what `train` would do with the data")
    source.add(parser)
    parser.add_argument("--runtime", action="append", default=[], metavar="PYTHON", help="as of `train`")
    options.add_json(parser)
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; exit 0 when `train` could begin."""
    import msgspec

    from cloud_trainer.dataset import Dataset
    from cloud_trainer.doctor import examined
    from cloud_trainer.run import Job, rehearsed

    found = examined(arguments.runtime)
    dataset: Dataset | None = None
    models: list[str] = []
    if arguments.data is not None or arguments.dsn is not None:
        dataset = source.read(arguments, SystemClock().utc_us(), lambda _: None if arguments.json else say(_))
        models = rehearsed(Job(kinds=KINDS), dataset)
    is_fit = found.is_fit and (dataset is None or bool(dataset.sites))
    if arguments.json:
        told = msgspec.to_builtins(found) | {
            "is_fit": is_fit,
            "sites": [] if dataset is None else msgspec.to_builtins(dataset.verdicts),
            "models": models,
        }
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        lines = [*found.lines(), *models, "train could begin" if is_fit else "train could not begin"]
        sys.stdout.write("\n".join(lines) + "\n")
    return Exit.OK if is_fit else Exit.FAILED
