"""`python -m firmware_bridge.simulator`: meters on their lines, from a scenario."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from firmware_bridge.clock import Clock
from firmware_bridge.errors import Exit, SettingError
from firmware_bridge.simulator.control import Control
from firmware_bridge.simulator.line_settings import LineSettings
from firmware_bridge.simulator.lines import Lines
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.scenario import EXAMPLE, Scenario, load_scenario
from firmware_bridge.simulator.serial_line import exact_loop
from firmware_bridge.simulator.speaking import speak_for_ever
from firmware_bridge.simulator.stage import Stage, set_stage


def main(argv: list[str] | None = None) -> int:
    """Answer until SIGTERM or SIGINT; a user's mistake ends in one sentence."""
    arguments = _parser().parse_args(argv)
    if arguments.example:
        sys.stdout.write(EXAMPLE.read_text(encoding="utf-8"))
        return Exit.OK
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    code = Exit.OK
    try:
        _run(arguments)
    except* SettingError as group:
        error = _first(group)
        print(f"simulator: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        code = error.exit_code
    except* KeyboardInterrupt:
        code = Exit.INTERRUPTED
    return code


def _run(arguments: argparse.Namespace) -> None:
    scenario = load_scenario(arguments.scenario)
    _check(arguments, scenario)
    stage = set_stage(scenario, arguments.scenario.parent)
    clock = stage.clock(arguments.clock)
    log = ValueLog(arguments.log)
    try:
        with asyncio.Runner(loop_factory=exact_loop) as runner:
            runner.run(_serve(stage, clock, log, scenario, arguments))
    finally:
        log.close()


def _check(arguments: argparse.Namespace, scenario: Scenario) -> None:
    """Lines of a scenario know their own addresses.

    Raises:
        SettingError: another one is given.
    """
    for option, given in (("--port", arguments.port), ("--port-file", arguments.port_file)):
        if scenario.lines and given:
            next_step = "set line.port, and read the addresses with --control"
            raise SettingError(option, str(given), "is for a scenario without lines", next_step)


async def _serve(
    stage: Stage, clock: Clock, log: ValueLog, scenario: Scenario, arguments: argparse.Namespace
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    panel, senders = stage.panel(clock, log), stage.senders(log)
    panel.warm_up()
    for sender in senders:
        sender.warm_up(clock.utc_us())
    settings = scenario.lines or [LineSettings(name="net", kind="tcp", host=arguments.host, port=arguments.port)]
    units = [*panel.units, *(sender.unit for sender in senders)]
    lines = Lines(settings, arguments.scenario.parent, panel.answer, units)
    try:
        await lines.plug()
        if arguments.port_file is not None:
            _write_port(arguments.port_file, int(next(iter(lines)).url.rpartition(":")[2]))
        sys.stderr.write(_greeting(scenario, lines))
        async with asyncio.TaskGroup() as tasks:
            living = [tasks.create_task(log.flush_for_ever()), tasks.create_task(lines.serve())]
            living += [
                tasks.create_task(speak_for_ever(sender, lines.with_unit(sender.unit), clock)) for sender in senders
            ]
            if arguments.control:
                living.append(tasks.create_task(_obey(Control(lines, panel), stop)))
            await stop.wait()
            for task in living:
                task.cancel()
    finally:
        lines.pull()


async def _obey(control: Control, stop: asyncio.Event) -> None:
    await control.serve()
    stop.set()


def _greeting(scenario: Scenario, lines: Lines) -> str:
    """Who answers where; the addresses as a gateway's configuration wants them."""
    listens = [f"listens on {url}" for url in lines.urls.values()]
    meters = [f"meter {meter.name}, unit {meter.unit}, {meter.profile}" for meter in scenario.meters]
    return "".join(f"simulator: {line}\n" for line in (*listens, *meters))


def _first(group: BaseExceptionGroup[SettingError]) -> SettingError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _write_port(path: Path, port: int) -> None:
    """Say which port it is, all at once: a parent may be waiting for the file."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(f"{port}\n")
        draft.replace(path)
    except OSError as error:
        raise SettingError(
            "--port-file", str(path), f"cannot be written ({error.strerror})", "name a file in an existing folder"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m firmware_bridge.simulator", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenario", type=Path, metavar="FILE", help="what to simulate, TOML")
    what.add_argument("--example", action="store_true", help="print a commented scenario to start from, and end")
    parser.add_argument("--clock", type=Path, metavar="ORIGIN", help="simulated time; made when it does not exist")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append every value given out, JSON lines")
    parser.add_argument("--control", action="store_true", help="obey JSON lines on the input; see control.py")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port of a scenario without lines; 0 for a free one (the default)"
    )
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="write the port there when listening")
    return parser


if __name__ == "__main__":
    sys.exit(main())
