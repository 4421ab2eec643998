"""A program that answers each line of its input with one line."""

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
# Far above anything that happens here; reached only when something is wrong.
ANSWER_S_MAX = 30.0
STOP_S_MAX = 10.0


class Program:
    """A child process, ended when its block is left."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start it with `environment` added to ours."""
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._said = bytearray()

    def ask(self, line: str) -> str:
        """What it answers to `line`."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # hear() tells it better
            self._process.stdin.write(line.encode() + b"\n")
        return self.hear()

    def hear(self) -> str:
        """The next line it says."""
        assert self._process.stdout is not None
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_S_MAX)
            piece = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            assert piece, f"no answer from {self._process.args}"
            self._said += piece
        line, _, rest = bytes(self._said).partition(b"\n")
        self._said = bytearray(rest)
        return line.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
