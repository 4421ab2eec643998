"""Checks for bundles, seen from the gateway: a child process with a deadline, and its outcome.

Nothing that happens outside raises here: not the network, not a hanging child, not a crash of it.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway.core.update import OUTCOME_BYTES_MAX, Outcome, decode_outcome
from gateway.shell.cold_check import ACCEPT_S_MAX

# Beyond its download and the acceptance a check only starts Python and syncs some files.
_REST_S_MAX = 30.0

# A killed process is gone in an instant; beyond this the machine is not to be helped.
_END_S_MAX = 10.0


def fetch_command(config: Path) -> list[str]:
    """The program that does a check for the gateway with the configuration file `config`."""
    return [sys.executable, "-m", "gateway", "fetch", "--json", "--config", str(config)]


def deadline_s(download_s: float) -> float:
    """Real seconds a whole check may take whose download may take `download_s`."""
    return download_s + ACCEPT_S_MAX + _REST_S_MAX


async def check(command: Sequence[str], current: str, timeout_s: float) -> Outcome:
    """Run `command` and return its outcome; `current` is the digest of the bundle that runs.

    At the deadline, and when this task is cancelled, the child and all that it started is killed.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            "--current",
            current,
            stdin=DEVNULL,
            stdout=PIPE,
            limit=OUTCOME_BYTES_MAX,
            # a group of its own, so that the acceptance it started dies with it
            start_new_session=True,
        )
    except OSError as error:
        return Outcome("local", reason=f"the check cannot be started: {error.strerror}")
    try:
        async with asyncio.timeout(timeout_s):
            return await _outcome_of(child)
    except TimeoutError:
        return Outcome("network", reason=f"the check was ended after {timeout_s:.0f} s")
    finally:
        await _end(child)


async def _outcome_of(child: Process) -> Outcome:
    assert child.stdout is not None
    try:
        line = await child.stdout.readline()
    except ValueError:
        return Outcome("local", reason=f"the check said more than {OUTCOME_BYTES_MAX} bytes")
    code = await child.wait()
    try:
        return decode_outcome(line)
    except ValueError:
        return Outcome("local", reason=f"the check ended with code {code} and without an outcome")


async def _end(child: Process) -> None:
    """Make sure that nothing of the child is left."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    assert child.stdout is not None
    # asyncio counts a child as ended only when its output was read to the end.
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S_MAX):
            while await child.stdout.read(OUTCOME_BYTES_MAX):
                pass
            await child.wait()
