"""`smartwatts-trainer compare`: which of two bundles is better on recorded data, and how sure that is."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options, source
from cloud_trainer.commands.table import table
from cloud_trainer.commands.training import say
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit

if TYPE_CHECKING:
    from cloud_trainer.trial import Duel


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("compare", help="whether bundle B is better than bundle A; the exit code tells")
    parser.add_argument("a", type=Path, metavar="A", help="folder of a bundle")
    parser.add_argument("b", type=Path, metavar="B", help="folder of another")
    source.add(parser)
    options.add_json(parser)
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Print a table; exit 0 when B is better beyond chance."""
    import msgspec

    from cloud_trainer.dataset import require_fit
    from cloud_trainer.host import HostError
    from cloud_trainer.trial import duel, read_manifest

    for folder in (arguments.a, arguments.b):
        read_manifest(folder)
    dataset = source.read(arguments, SystemClock().utc_us(), say)
    require_fit(dataset)
    try:
        found = duel(arguments.a, arguments.b, dataset)
    except HostError as error:
        say(f"failed: {error}")
        return Exit.NOT_VERIFIED
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        sys.stdout.write(shown(found))
    return Exit.OK if found.better == "b" else Exit.FAILED


def shown(found: "Duel") -> str:
    """For people: errors and losses of both, and how often each has the lower loss."""
    heads = ("model", "issues", "MAE A", "MAE B", "pinball A", "pinball B", "A better", "B better")
    rows = [
        (
            one.model,
            str(one.issues),
            f"{one.a_mae_w:.1f} W",
            f"{one.b_mae_w:.1f} W",
            f"{one.a_pinball_w:.1f} W",
            f"{one.b_pinball_w:.1f} W",
            f"{one.a_better_share:.0%}",
            f"{one.b_better_share:.0%}",
        )
        for one in found.models
    ]
    verdict = {"a": "A is better", "b": "B is better", "neither": "neither is better beyond chance"}[found.better]
    return f"{table(heads, rows)}{verdict} (resampled histories, whole days drawn)\n"
