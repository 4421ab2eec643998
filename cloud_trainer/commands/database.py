"""`smartwatts-trainer database`: the database itself, without ingest."""

import argparse
import sys
from pathlib import Path

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the commands."""
    actions = commands.add_parser("database", help="bring a database up to date, or open an embedded one")
    subcommands = actions.add_subparsers(required=True, metavar="ACTION")
    migrate = subcommands.add_parser("migrate", help="make or bring up to date the tables")
    options.add_dsn(migrate)
    migrate.set_defaults(run=options.explains_database(run_migrate))
    serve = subcommands.add_parser("serve", help="run the PostgreSQL of a folder until SIGTERM, to look into it")
    serve.add_argument("--embedded", metavar="FOLDER", type=Path, required=True, help="its folder")
    serve.add_argument("--dsn-file", type=Path, help="file that gets the DSN")
    serve.set_defaults(run=run_serve)


def run_migrate(arguments: argparse.Namespace) -> int:
    """Apply what is missing."""
    from cloud_trainer.database import connect
    from cloud_trainer.ingest.migrate import migrate

    with connect(arguments.dsn) as connection:
        version = migrate(connection)
    sys.stdout.write(f"the tables have version {version}\n")
    return Exit.OK


def run_serve(arguments: argparse.Namespace) -> int:
    """Run the server until SIGTERM or Ctrl-C."""
    import signal

    from cloud_trainer.announce import announce
    from cloud_trainer.embedded import EmbeddedPostgres

    stops = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the start and waited for after it, so that none comes in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    with EmbeddedPostgres(arguments.embedded) as dsn:
        sys.stdout.write(f"{dsn}\n")
        sys.stdout.flush()
        if arguments.dsn_file is not None:
            announce("--dsn-file", arguments.dsn_file, dsn)
        signal.sigwait(stops)
    return Exit.OK
