"""`smartwatts-trainer evaluate`: how good a bundle is on recorded data, as gateways would show it."""

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
    from cloud_trainer.trial import SiteTrial


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("evaluate", help="how good a bundle is on recorded data, site by site")
    parser.add_argument("--bundle", type=Path, required=True, metavar="FOLDER", help="with manifest.json")
    source.add(parser)
    options.add_json(parser)
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Print a table; exit 0 when there was something to judge by."""
    from msgspec import json, to_builtins

    from cloud_trainer.dataset import require_fit
    from cloud_trainer.host import HostError
    from cloud_trainer.run_report import figures
    from cloud_trainer.trial import read_manifest, tried

    read_manifest(arguments.bundle)
    dataset = source.read(arguments, SystemClock().utc_us(), say)
    require_fit(dataset)
    try:
        found = tried(arguments.bundle, dataset)
    except HostError as error:
        say(f"failed: {error}")
        return Exit.NOT_VERIFIED
    if arguments.json:
        told = [
            {"model": one.model, "site": one.site, "said": figures(one.said), "shown": figures(one.shown)}
            | {"baseline": one.shown.baseline, "issues": one.shown.issues}
            for one in found
        ]
        sys.stdout.write(json.encode(to_builtins(told)).decode() + "\n")
    else:
        sys.stdout.write(shown(found))
    return Exit.OK if found else Exit.FAILED


def shown(found: "list[SiteTrial]") -> str:
    """The table for people: mean error and skill of what a gateway shows, and what the artefact alone has."""
    if not found:
        return "no site has what any of its models forecasts\n"
    heads = ("model", "site", "issues", "MAE W", "naive W", "skill", "skill alone", "coverage", "naive")
    rows = [
        (
            one.model,
            one.site,
            str(one.shown.issues),
            f"{one.shown.mae_w:.1f}",
            f"{one.shown.baseline_mae_w.get(one.shown.baseline, float('nan')):.1f}",
            f"{one.shown.skill:.3f}",
            f"{one.said.skill:.3f}",
            f"{one.shown.coverage:.1%}",
            one.shown.baseline,
        )
        for one in found
    ]
    return table(heads, rows)
