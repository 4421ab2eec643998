"""`smartwatts-trainer ingest`: take in what gateways send, until SIGTERM."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.commands import Commands, options
from firmware_bridge.errors import Exit, SettingError

if TYPE_CHECKING:
    from cloud_trainer.ingest.app import Ports
    from cloud_trainer.ingest.settings import Settings


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("ingest", help="take in what gateways send, into PostgreSQL")
    options.add_dsn(parser, required=False)
    parser.add_argument("--embedded", metavar="FOLDER", type=Path, help="run our own PostgreSQL on FOLDER instead")
    parser.add_argument(
        "--keys",
        metavar="FOLDER",
        type=Path,
        help="folder of the keys that sign answers; made when missing; with --embedded its FOLDER/keys by default",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default %(default)s")
    parser.add_argument("--port", type=int, default=8470, help="0 lets the system choose; default %(default)s")
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="address that gateways have in their settings; default http(s)://HOST:PORT",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM), to speak TLS without a proxy")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--proxy",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="address of a proxy in front, whose X-Forwarded-For is believed; may be given several times",
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="NUMBER", help="how many share the port; default %(default)s"
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="loopback port for /metrics and /healthz; further processes have the following ones",
    )
    parser.add_argument("--port-file", type=Path, help="file that gets the port as soon as it listens")
    parser.add_argument("--dsn-file", type=Path, help="file that gets the DSN, for audit and score (--dsn @FILE)")
    parser.set_defaults(run=options.explains_database(run))


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from cloud_trainer.ingest.supervisor import WorkerError
    from cloud_trainer.ingest.worker import log_to_stderr

    _check(arguments)
    log_to_stderr()
    try:
        asyncio.run(_serve(arguments))
    except WorkerError as error:
        return error.exit_code
    return Exit.OK


def _check(arguments: argparse.Namespace) -> None:
    from cloud_trainer.ingest.supervisor import PROCESSES_MAX

    if arguments.dsn is None and arguments.embedded is None:
        next_step = "give --dsn for a server of yours, or --embedded for one that ingest runs itself"
        raise SettingError("--dsn or --embedded", "(not given)", "ingest needs to know its database", next_step)
    if arguments.dsn is not None and arguments.embedded is not None:
        # the DSN is not repeated: it may hold a password
        raise SettingError(
            "--dsn and --embedded", "(both given)", "there can be only one database", "leave out one of them"
        )
    if arguments.keys is None and arguments.embedded is None:
        next_step = "give a folder that only the user of this program may enter"
        raise SettingError("--keys", "(not given)", "ingest needs keys to sign its answers with", next_step)
    if not 1 <= arguments.processes <= PROCESSES_MAX:
        next_step = "give one for each core that it may use"
        raise SettingError("--processes", str(arguments.processes), f"is not 1 to {PROCESSES_MAX}", next_step)
    _settings(arguments, "").check()


def _settings(arguments: argparse.Namespace, dsn: str) -> "Settings":
    from cloud_trainer.ingest.settings import Settings

    keys = arguments.keys or arguments.embedded / "keys"
    return Settings(
        dsn=dsn,
        keys=str(keys.absolute()),
        host=arguments.host,
        port=arguments.port,
        metrics_port=arguments.metrics_port,
        public_url=arguments.public_url,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        proxies=tuple(arguments.proxy),
    )


async def _serve(arguments: argparse.Namespace) -> None:
    from cloud_trainer.ingest.server_key import ServerKeys
    from cloud_trainer.ingest.supervisor import Supervisor
    from cloud_trainer.ingest.worker import serve, stop_event
    from firmware_bridge.clock import SystemClock

    # First of all: a stop during the start of PostgreSQL must end that too.
    stopped = stop_event()
    clock = SystemClock()
    with _database(arguments) as dsn:
        settings = _settings(arguments, dsn)
        # here, so that several processes find the same ones
        keys = ServerKeys.open(Path(settings.keys), clock.utc_us())

        def on_listening(ports: "list[Ports]") -> None:
            _tell(arguments, settings, ports, keys.newest.key_id)

        if arguments.processes == 1:
            await serve(settings, stopped, lambda ports: on_listening([ports]))
        else:
            await Supervisor(settings, arguments.processes, on_listening, clock).run(stopped)


def _tell(arguments: argparse.Namespace, settings: "Settings", ports: "list[Ports]", key: str) -> None:
    from cloud_trainer.announce import announce

    if arguments.port_file is not None:
        announce("--port-file", arguments.port_file, f"{ports[0].port}\n")
    said = [f"ingest listens on {ports[0].public_url}", f"it signs with key {key}"]
    said += [f"metrics are on http://127.0.0.1:{one.metrics_port}/metrics" for one in ports if one.metrics_port]
    if settings.is_open_to_listeners:
        said.append("warning: without TLS others on the way can read the readings; see --tls-cert and --proxy")
    for line in said:
        sys.stderr.write(f"smartwatts-trainer: {line}\n")


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
