"""Several processes of an ingest on one port: started, started again when they end, and ended. A shell.

The kernel shares connections out among them (SO_REUSEPORT). They share nothing else but the database and the folder
of the keys, so a request may come to any, and one that is killed takes nothing with it.
"""

import asyncio
import ctypes
import logging
import random
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import msgspec

from cloud_trainer.ingest.app import Ports
from cloud_trainer.ingest.settings import Settings, encode_settings
from firmware_bridge.clock import Clock
from firmware_bridge.port import port_error
from gateway.core.backoff import delay_s

log = logging.getLogger(__name__)

# More than any machine of ours has cores.
PROCESSES_MAX = 64
# From the start of Python to the first connection.
START_S_MAX = 60.0
# A process ends within two seconds of SIGTERM, its requests answered; then it is killed.
STOP_S_MAX = 4.0
# A process that ran for so long was well: the next wait is a short one again.
WELL_S = 60.0
_RESTART_FIRST_S, _RESTART_S_MAX = 1.0, 30.0

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class WorkerError(Exception):
    """A process ended before it ever listened; it has said why, and `exit_code` is what it ended with."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"a process of the ingest ended with code {exit_code} before it listened")
        self.exit_code = exit_code


class Supervisor:
    """Keeps so many processes of an ingest running."""

    def __init__(
        self, settings: Settings, processes: int, on_listening: Callable[[list[Ports]], None], clock: Clock
    ) -> None:
        """`on_listening` hears where they listen, once each of them does for the first time."""
        assert 1 <= processes <= PROCESSES_MAX, "checked where it is given"
        self._settings, self._processes = settings, processes
        self._on_listening, self._clock = on_listening, clock
        self._ports: dict[int, Ports] = {}

    async def run(self, stopped: asyncio.Event) -> None:
        """Serve until `stopped` is set.

        Raises:
            SettingError: the port cannot be used.
            WorkerError: one of them could not start.
        """
        with _reserved(self._settings.host, self._settings.port) as (host, port):
            settings = msgspec.structs.replace(
                self._settings, host=host, port=port, shares_port=True, public_url=self._settings.address(port)
            )
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(self._processes):
                        group.create_task(self._keep(number, _own(settings, number), stopped))
            except ExceptionGroup as errors:
                # the first one ended the others
                raise errors.exceptions[0] from None

    async def _keep(self, number: int, settings: Settings, stopped: asyncio.Event) -> None:
        """Run a process, again and again until `stopped` is set; its first start must work."""
        failures = 0
        while not stopped.is_set():
            began_s = self._clock.monotonic_s()
            code = await self._run(number, settings, stopped)
            if stopped.is_set():
                return
            if number not in self._ports:
                raise WorkerError(code)
            failures = 1 if self._clock.monotonic_s() - began_s > WELL_S else failures + 1
            wait_s = delay_s(failures, random.random, first_s=_RESTART_FIRST_S, cap_s=_RESTART_S_MAX)
            log.error("process of the ingest ended: number=%d code=%d again_in_s=%.1f", number, code, wait_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await stopped.wait()

    async def _run(self, number: int, settings: Settings, stopped: asyncio.Event) -> int:
        """Run a process to its end, which `stopped` brings; its exit code."""
        async with _process(settings) as process, asyncio.TaskGroup() as group:
            stop = group.create_task(_terminate(process, stopped))
            ports = await _first_word(process)
            if ports is not None:
                log.info("process of the ingest listens: number=%d pid=%d", number, process.pid)
                self._note(number, ports)
            code = await process.wait()
            stop.cancel()
        return code

    def _note(self, number: int, ports: Ports) -> None:
        is_first = number not in self._ports
        self._ports[number] = ports
        if is_first and len(self._ports) == self._processes:
            self._on_listening([self._ports[one] for one in range(self._processes)])


async def _terminate(process: Process, stopped: asyncio.Event) -> None:
    """Once `stopped` is set, end the process orderly, else for good."""
    await stopped.wait()
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()


async def _first_word(process: Process) -> Ports | None:
    """Where it listens; None when it ends without a word, or is killed because it said none for too long."""
    assert process.stdout is not None, "a pipe"
    try:
        async with asyncio.timeout(START_S_MAX):
            line = await process.stdout.readline()
    except TimeoutError:
        process.kill()
        return None
    return msgspec.json.decode(line, type=Ports) if line else None


@asynccontextmanager
async def _process(settings: Settings) -> AsyncIterator[Process]:
    """A process that has its settings; at the end of the block there is none."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cloud_trainer.ingest.worker"), stdin=PIPE, stdout=PIPE, preexec_fn=_end_with_parent
    )
    assert process.stdin is not None, "a pipe"
    try:
        with suppress(ConnectionError):
            process.stdin.write(encode_settings(settings))
            await process.stdin.drain()
            process.stdin.close()
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _own(settings: Settings, number: int) -> Settings:
    """The settings of one process: a port for its own metrics."""
    if not settings.metrics_port:
        return settings
    return msgspec.structs.replace(settings, metrics_port=settings.metrics_port + number)


@contextmanager
def _reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """An address and a port that are ours within the block: held without listening, so that no connection comes.

    Raises:
        SettingError: they are not to be had; ConflictError when somebody has them.
    """
    try:
        held = _bound(host, port)
    except (OSError, OverflowError) as error:
        raise port_error(host, port, error) from error
    with held:
        found = held.getsockname()
        yield str(found[0]), int(found[1])


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, _, _, address = found[0]
    with socket.socket(family, kind) as alone:
        # Without sharing first: another ingest on this port would share it with us, and nobody would notice.
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)
    held = socket.socket(family, kind)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError:
        held.close()
        raise
    return held


def _end_with_parent() -> None:
    """Should the supervisor be killed, its processes end too."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
