"""`smartwatts-trainer backtest`: what a gateway would have shown of any one recorded series. Needs TensorFlow."""

import argparse
import sys
from pathlib import Path

from cloud_trainer import tensorflow_setup
from cloud_trainer.commands import Commands
from cloud_trainer.commands.source import between
from cloud_trainer.commands.training import SEED_MAX, say
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("backtest", help="train on a recorded series, and judge by the last fifth of it")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="CSV, also gzipped, or Parquet")
    parser.add_argument("--time", required=True, metavar="COLUMN", help="when each row was")
    parser.add_argument("--value", required=True, metavar="COLUMN", help="what is forecast")
    parser.add_argument("--cadence", required=True, metavar="TIME", help="from row to row: 15min, 1h")
    parser.add_argument("--horizon", default="24h", metavar="TIME", help="how far ahead, up to a day; default 24h")
    parser.add_argument("--unit", metavar="UNIT", help="of the column: W, kW, Wh, kWh, ...; default: any")
    parser.add_argument("--time-zone", metavar="NAME", help="of stamps that say none; default UTC")
    parser.add_argument("--seed", type=int, default=1, help="decides weights and order; default 1")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write a report with pictures there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and judge; the last line is one JSON object."""
    import msgspec

    from cloud_trainer.run import UNSHIPPABLE
    from cloud_trainer.single import Series, backtest, spec_of

    between("--seed", arguments.seed, 0, SEED_MAX)
    spec = spec_of(arguments.cadence, arguments.horizon)
    tensorflow_setup.require()
    series = Series(
        arguments.data, arguments.time, arguments.value, arguments.cadence, arguments.unit, arguments.time_zone
    )
    try:
        found = backtest(series, spec, arguments.seed, arguments.report, say)
    except UNSHIPPABLE as error:
        say(f"failed: {error}")
        return Exit.NOT_VERIFIED
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return Exit.OK
