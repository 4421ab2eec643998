"""`smartwatts-trainer report`: what the cloud holds of one gateway."""

import argparse
import sys

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("report", help="counts and events of one gateway")
    options.add_dsn(parser)
    options.add_gateway(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    import msgspec

    from cloud_trainer.database import connect, only_gateway
    from cloud_trainer.fleet.organisations import only_organisation
    from cloud_trainer.report import report

    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        found = report(connection, only_gateway(connection, organisation, arguments.gateway))
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return Exit.OK
    lines = [f"{found.gateway}: {sum(found.records.values())} records, {found.rows} rows of readings"]
    lines += [f"  {kind}: {count}" for kind, count in found.records.items()]
    lines += [f"  anomaly {one.kind} of {one.series}: {one.sentence}" for one in found.anomalies]
    lines += [f"  model {one.event}: release {one.release} {one.reason}".rstrip() for one in found.model_events]
    sys.stdout.write("\n".join(lines) + "\n")
    return Exit.OK
