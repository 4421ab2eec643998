"""mbpoll, a master of libmodbus: one process for each read."""

import os
import re
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

_WORD = re.compile(r"^\[(\d+)\]:\s+0x([0-9A-F]{4})$", re.MULTILINE)
_NUMBER = re.compile(r"^\[\d+\]:\s+(\S+)$", re.MULTILINE)
_RUN_S_MAX = 30.0


class Poller(NamedTuple):
    """How it is called for one line."""

    program: str
    # the options of the line, and where it is
    line: tuple[str, ...]
    environment: Mapping[str, str]
    # far above anything that happens here
    timeout_s: float = 5.0

    def read(self, unit: int, function: int, address: int, count: int) -> list[int] | str:
        """The words, or what went wrong."""
        ran = self._run(unit, f"{function_type(function)}:hex", address, count)
        if ran.returncode:
            return f"error: {ran.stderr}"
        words = [(int(at), int(word, 16)) for at, word in _WORD.findall(ran.stdout)]
        assert [at for at, _ in words] == list(range(address, address + count)), ran.stdout
        return [word for _, word in words]

    def number(self, unit: int, function: int, address: int, kind: str, *options: str) -> float:
        """A value of two registers as mbpoll reads it, `kind` is int or float."""
        ran = self._run(unit, f"{function_type(function)}:{kind}", address, 1, *options)
        assert ran.returncode == 0, ran.stderr
        (text,) = _NUMBER.findall(ran.stdout)
        return float(text)

    def _run(self, unit: int, kind: str, address: int, count: int, *options: str) -> subprocess.CompletedProcess[str]:
        asked = ["-a", str(unit), "-t", kind, "-r", str(address), "-c", str(count), "-o", str(self.timeout_s)]
        return subprocess.run(
            [self.program, "-0", "-1", *asked, *options, *self.line],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=_RUN_S_MAX,
            check=False,
        )


def function_type(function: int) -> int:
    """What mbpoll calls registers that a function reads: 3 for input registers, 4 for holding registers."""
    return {4: 3, 3: 4}[function]
