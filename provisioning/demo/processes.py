"""The programs of the demonstration: started, waited for, and ended, whatever happens."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from firmware_bridge.clock import Clock

# A first start makes a PostgreSQL cluster, on a slow card too.
START_S_MAX = 60.0
# Every program of ours ends within five seconds of SIGTERM; then it is killed.
STOP_S_MAX = 8.0
COMMAND_S_MAX = 300.0
NOTHING = Path(os.devnull)
_TAIL_LINES = 12
_SAID_CHARACTERS = 400


class ProgramError(Exception):
    """A program of the demonstration failed; the message holds the end of what it said."""


class Program:
    """One long-running program, its log in a file."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name, self.log = name, log
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def check_alive(self) -> None:
        """Raise `ProgramError` when it has ended by itself."""
        if (code := self.exit_code) is not None:
            raise ProgramError(f"{self.name} ended with code {code}: {_tail(self.log)}")

    def stop(self) -> int:
        """End it orderly, else for good; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()


class Programs:
    """All programs of a run; leaving the block ends them, the last started first."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Logs and port files go into `folder`; `clock` is the machine's."""
        self._folder, self._clock = folder, clock
        self._running: list[Program] = []
        self._logs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in reversed(self._running):
            program.stop()
        for log in self._logs:
            log.close()

    def start(self, name: str, module: str, *arguments: str | Path) -> Program:
        """Start `python -m module arguments`; its output goes to `name.log`."""
        path = self._folder / f"{name}.log"
        log = path.open("ab")
        self._logs.append(log)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: we end them in order
            preexec_fn=_end_with_parent,
        )
        program = Program(name, process, path)
        self._running.append(program)
        return program

    async def start_listening(self, name: str, module: str, *arguments: str | Path) -> tuple[Program, int]:
        """Start a program that takes `--port-file`; the program and its port once it listens."""
        port_file = self._folder / f"{name}.port"
        port_file.unlink(missing_ok=True)
        program = self.start(name, module, *arguments, "--port-file", port_file)
        until_s = self._clock.monotonic_s() + START_S_MAX
        while not port_file.exists():
            program.check_alive()
            if self._clock.monotonic_s() > until_s:
                raise ProgramError(f"{name} does not listen after {START_S_MAX:.0f} s: {_tail(program.log)}")
            await self._clock.sleep_for(0.05)
        return program, int(port_file.read_text())


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Should the demonstration be killed, its programs end too."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run_command(
    module: str,
    *arguments: str | Path,
    may_fail: bool = False,
    stdin: Path = NOTHING,
    is_shown: bool = False,
    seconds_max: float = COMMAND_S_MAX,
) -> Any:  # noqa: ANN401 - JSON
    """Run `python -m module arguments --json` to its end, with a file as its input; what it printed, parsed.

    With `is_shown` people see how it goes on.
    """
    command = [sys.executable, "-m", module, *map(str, arguments), "--json"]
    try:
        with stdin.open("rb") as typed:
            done = subprocess.run(
                command,
                stdin=typed,
                stdout=subprocess.PIPE,
                stderr=None if is_shown else subprocess.PIPE,
                timeout=seconds_max,
                check=False,
                env=os.environ | {"NO_COLOR": "1"},
            )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{module} {arguments[0]} did not end within {seconds_max:.0f} s") from error
    said = (done.stderr or b"it said so above").decode(errors="replace").strip()[-_SAID_CHARACTERS:]
    if done.returncode and not may_fail:
        raise ProgramError(f"{module} {arguments[0]} ended with code {done.returncode}: {said}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ProgramError(f"{module} {arguments[0]} printed no result: {said}") from error


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return " | ".join(lines[-_TAIL_LINES:])
