"""`smartwatts-gateway`: the program on the device."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from firmware_bridge.errors import Exit, SettingError
from firmware_bridge.lookup_loop import LookupLoop
from gateway import SOFTWARE, config
from gateway.shell import accept, enroll_command, fetch_command, keep_raw_command


def main(argv: list[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one sentence and a documented exit code."""
    arguments = _parser().parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        code: int = arguments.run(arguments)
    except SettingError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smartwatts-gateway", description=__doc__)
    parser.add_argument("--version", action="version", version=SOFTWARE)
    parser.add_argument("--verbose", action="store_true", help="log details, frames of the bus included")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="read the meters, forecast, decide, record, upload; until SIGTERM")
    run.add_argument("--config", type=Path, required=True, metavar="FILE")
    run.add_argument("--port-file", type=Path, metavar="FILE", help="write the page's port here once it is up")
    run.set_defaults(run=_run)
    check = commands.add_parser("accept", help="prove a model bundle: files, inputs, golden vectors")
    check.add_argument("bundle", metavar="FOLDER")
    check.add_argument("--json", action="store_true", help="print the verdict as JSON")
    check.add_argument(
        "--any-cadence", action="store_true", help="for evaluation: also steps that no gateway asks for"
    )
    check.set_defaults(run=lambda given: accept.run(given.bundle, as_json=given.json, any_cadence=given.any_cadence))
    fetch_command.add(commands)
    enroll_command.add(commands)
    keep_raw_command.add(commands)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    # aiohttp and pymodbus are needed for nothing else: the other commands answer without them
    from gateway.app import App

    app = App(config.load_file(arguments.config), arguments.config, arguments.port_file)
    code: int = Exit.OK
    try:
        with asyncio.Runner(loop_factory=LookupLoop) as runner:
            runner.run(app.run())
    except* SettingError as group:
        code = _complain(group)
    return code


def _complain(error: SettingError | BaseExceptionGroup[SettingError]) -> int:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    sys.stderr.write(f"smartwatts-gateway: {error}\n")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
