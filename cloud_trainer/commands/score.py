"""`smartwatts-trainer score`: how good were the forecasts, against the statistical baselines?"""

import argparse
import sys
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit

if TYPE_CHECKING:
    from cloud_trainer.score import Score


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("score", help="mean absolute error of the model and of the baselines")
    options.add_dsn(parser)
    options.add_gateway(parser)
    parser.add_argument("--grid", default="grid", metavar="METER", help="meter at the grid; default %(default)s")
    parser.add_argument("--solar", metavar="METER", help="meter of the solar inverter, where there is one")
    parser.add_argument("--from-day", type=int, default=8, help="first day that counts; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Print the scores; exit 0 if there is at least one."""
    import msgspec

    from cloud_trainer.database import connect, only_gateway
    from cloud_trainer.fleet.organisations import only_organisation
    from cloud_trainer.score import score

    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        gateway = only_gateway(connection, organisation, arguments.gateway)
        scores = score(connection, gateway, grid=arguments.grid, solar=arguments.solar, from_day=arguments.from_day)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(scores).decode() + "\n")
    else:
        sys.stdout.write(table(scores, arguments.from_day))
    return Exit.OK if scores else Exit.FAILED


def table(scores: "list[Score]", from_day: int) -> str:
    """The scores for people."""
    if not scores:
        return f"from day {from_day} on no model forecast was stored before its time beside a baseline\n"
    days = f"p50 from day {from_day} on"
    lines = [f"{days:<18}{'of':<13}{'beside':<19}{'steps':>9}{'MAE W':>10}{'model W':>10}{'skill':>8}"]
    for one in scores:
        skill = "-" if one.skill is None else f"{one.skill:.1%}"
        lines.append(
            f"{one.kind:<18}{one.target.removesuffix('_w'):<13}{one.baseline:<19}"
            f"{one.pairs:>9}{one.baseline_mae_w:>10.1f}{one.model_mae_w:>10.1f}{skill:>8}"
        )
    return "\n".join(lines) + "\n"
