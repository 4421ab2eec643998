"""`smartwatts-trainer ingest`: take in what gateways send, until SIGTERM."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit, SettingError


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("ingest", help="take in what gateways send, into PostgreSQL")
    options.add_dsn(parser, required=False)
    parser.add_argument("--embedded", metavar="FOLDER", type=Path, help="run our own PostgreSQL on FOLDER instead")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on; default %(default)s")
    parser.add_argument("--port", type=int, default=8470, help="0 lets the system choose; default %(default)s")
    parser.add_argument("--port-file", type=Path, help="file that gets the port as soon as it listens")
    parser.add_argument("--dsn-file", type=Path, help="file that gets the DSN, for audit and score (--dsn @FILE)")
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from cloud_trainer.ingest.app import check_loopback

    if arguments.dsn is None and arguments.embedded is None:
        next_step = "give --dsn for a server of yours, or --embedded for one that ingest runs itself"
        raise SettingError("--dsn or --embedded", "(not given)", "ingest needs to know its database", next_step)
    if arguments.dsn is not None and arguments.embedded is not None:
        # the DSN is not repeated: it may hold a password
        raise SettingError(
            "--dsn and --embedded", "(both given)", "there can be only one database", "leave out one of them"
        )
    check_loopback(arguments.host)
    asyncio.run(_serve(arguments))
    return Exit.OK


async def _serve(arguments: argparse.Namespace) -> None:
    from cloud_trainer.announce import announce
    from cloud_trainer.ingest.app import listening

    stopped = asyncio.Event()
    # First of all: a stop during the start of PostgreSQL must end that too.
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    with _database(arguments) as dsn:
        async with listening(dsn, arguments.host, arguments.port) as port:
            if arguments.port_file is not None:
                announce("--port-file", arguments.port_file, f"{port}\n")
            sys.stderr.write(f"smartwatts-trainer: ingest listens on http://{arguments.host}:{port}\n")
            await stopped.wait()


@contextlib.contextmanager
def _database(arguments: argparse.Namespace) -> Iterator[str]:
    """The DSN of a database with our tables; an embedded one lives as long as the block."""
    from cloud_trainer.announce import announce
    from cloud_trainer.database import connect, read_dsn
    from cloud_trainer.embedded import EmbeddedPostgres
    from cloud_trainer.ingest.migrate import migrate

    with contextlib.ExitStack() as stack:
        if arguments.embedded is not None:
            dsn = stack.enter_context(EmbeddedPostgres(arguments.embedded))
        else:
            dsn = read_dsn(arguments.dsn)
        with connect(dsn) as connection:
            migrate(connection)
        if arguments.dsn_file is not None:
            announce("--dsn-file", arguments.dsn_file, dsn)
        yield dsn
