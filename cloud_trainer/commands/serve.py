"""`smartwatts-trainer serve`: a repository over HTTP on loopback, until SIGTERM."""

import argparse
import asyncio
from pathlib import Path

from cloud_trainer.commands import Commands
from firmware_bridge.errors import Exit


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("serve", help="serve a repository on loopback, for demonstrations")
    parser.add_argument("--repository", type=Path, required=True, help="folder of static files; made when missing")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--port-file", type=Path, help="file that gets the port as soon as it listens")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from cloud_trainer.serve import serve

    asyncio.run(serve(arguments.repository, arguments.port, arguments.port_file))
    return Exit.OK
