"""The acceptance of a fetched bundle, run as a fresh process: a model that crashes takes only that along."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from firmware_bridge.errors import Exit

# Loading the models and running some golden vectors takes seconds on the slowest board we know. A
# bundle that needs a minute is not for this gateway.
ACCEPT_S_MAX = 60.0
# How native code ends a process when a model is too much for it. SIGKILL is none of them: that is
# the machine, short of memory.
_CRASHES = frozenset(-s for s in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))


class _Verdict(msgspec.Struct, frozen=True):
    """What we need of the verdict that `accept --json` prints."""

    reasons: list[str]


class CheckFailedError(Exception):
    """The acceptance could not be run: this machine's fault, and nothing is said of the bundle."""


def accept_cold(
    bundle: Path, timeout_s: float = ACCEPT_S_MAX, program: Sequence[str] = (sys.executable, "-m", "gateway")
) -> str:
    """Run the acceptance of `bundle` in a process of its own: why it is refused, or nothing.

    Raises:
        CheckFailedError: the process could not be started, or was killed.
    """
    command = [*program, "accept", str(bundle), "--json"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return f"its acceptance took longer than {timeout_s:.0f} s"
    except OSError as error:
        raise CheckFailedError(f"the acceptance cannot be started: {error.strerror}") from error
    if done.returncode == Exit.OK:
        return ""
    if done.returncode == Exit.NOT_VERIFIED:
        return _reasons(done.stdout)
    if done.returncode in _CRASHES:
        return f"its acceptance crashed with signal {-done.returncode}"
    last_line = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    raise CheckFailedError(f"the acceptance ended with code {done.returncode}: {last_line}")


def _reasons(said: bytes) -> str:
    try:
        return "; ".join(msgspec.json.decode(said, type=_Verdict).reasons) or "not accepted"
    except msgspec.MsgspecError:
        return "not accepted"
