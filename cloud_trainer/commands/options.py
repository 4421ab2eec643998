"""What several commands say alike: which database, whose data, and what to do when it is away."""

import argparse
import sys
from collections.abc import Callable

from firmware_bridge.errors import Exit

Run = Callable[[argparse.Namespace], int]


def add_dsn(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Declare --dsn."""
    parser.add_argument(
        "--dsn",
        required=required,
        metavar="DSN",
        help="how to reach PostgreSQL; @FILE reads it from a file, so that no password shows in the process list",
    )


def add_gateway(parser: argparse.ArgumentParser) -> None:
    """Declare --organisation and --gateway."""
    add_organisation(parser)
    parser.add_argument("--gateway", metavar="ID", help="which; needed when several of the organisation have sent")


def add_organisation(parser: argparse.ArgumentParser) -> None:
    """Declare --organisation."""
    parser.add_argument("--organisation", metavar="NAME", help="whose; needed when the database holds several")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare --json."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def explains_database(run: Run) -> Run:
    """`run`, which ends in one sentence and an exit code when the database is away or empty."""

    def run_or_explain(arguments: argparse.Namespace) -> int:
        import psycopg

        from cloud_trainer.database import refuse_open_password

        if getattr(arguments, "dsn", None) is not None:
            refuse_open_password(arguments.dsn)
        try:
            return run(arguments)
        except psycopg.OperationalError as error:
            problem = str(error).strip().partition("\n")[0]
        except psycopg.errors.UndefinedTable:
            problem = "it holds no tables of ours; run `smartwatts-trainer ingest` on it first"
        sys.stderr.write(f"smartwatts-trainer: the database cannot be used: {problem}\n")
        return Exit.UNREACHABLE

    return run_or_explain
