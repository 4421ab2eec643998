"""`smartwatts-trainer audit`: is what the cloud holds what the meters gave out?"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit, SettingError

if TYPE_CHECKING:
    from cloud_trainer.audit import Audit


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("audit", help="compare the database with a simulator's log, value by value")
    options.add_dsn(parser)
    options.add_gateway(parser)
    parser.add_argument("--log", type=Path, required=True, help="the simulator's log (JSONL)")
    parser.add_argument("--poll-s", type=float, required=True, help="seconds between two sweeps of the gateway")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; exit 0 only if nothing at all is wrong."""
    import msgspec

    from cloud_trainer.audit import audit
    from cloud_trainer.database import connect, only_gateway
    from cloud_trainer.fleet.organisations import only_organisation

    if not arguments.poll_s >= 1:
        raise SettingError("--poll-s", str(arguments.poll_s), "is not a poll period", "give seconds, 1 or more")
    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        gateway = only_gateway(connection, organisation, arguments.gateway)
        result = audit(connection, gateway, arguments.log, arguments.poll_s)
    if arguments.json:
        facts = msgspec.to_builtins(result) | {"passed": result.passed, "is_gapless": result.is_gapless}
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    else:
        sys.stdout.write(table(result))
    return Exit.OK if result.passed else Exit.FAILED


def table(result: "Audit") -> str:
    """The result for people."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.records.items())
    facts = [
        ("gateway", result.gateway),
        ("records", f"{sum(result.records.values())} ({kinds})"),
        ("sequences", "gapless" if result.is_gapless else "NOT gapless"),
        ("not expanded", f"{result.unexpanded}"),
        ("rows", f"{result.rows}"),
        ("values compared", f"{result.values} of {result.values_logged} given out"),
        ("not believed", f"{result.left_out}, in rows that say so"),
        ("mismatches", f"{result.mismatches}"),
        ("ticks stored twice", f"{result.twice}"),
        ("verdict", "every value is what was given out" if result.passed else "FAILED"),
    ]
    lines = [f"{name:<20}{text}" for name, text in facts]
    lines += [
        f"  {wrong.meter}.{wrong.measurand} from {wrong.first_us} us: {wrong.column}"
        f" stored {wrong.stored}, given out {wrong.logged}"
        for wrong in result.examples
    ]
    lines += [
        f"  generation {one.generation}: {one.records} records, {one.first} to {one.last}"
        for one in result.generations
        if not one.is_gapless
    ]
    return "\n".join(lines) + "\n"
