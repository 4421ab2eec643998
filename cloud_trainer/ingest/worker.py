"""One process of an ingest, run until it is told to stop. A shell.

`python -m cloud_trainer.ingest.worker` is how a supervisor starts it: the settings come by its standard input, for a
DSN may hold a password, and once it listens it says where on its standard output.
"""

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Callable

import msgspec

from cloud_trainer.ingest.app import Ports, listening
from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.settings import Settings, read_settings
from firmware_bridge.errors import Exit, SettingError

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Beside its connections: to the database, files, the event loop.
_OTHER_DESCRIPTORS = 100


async def serve(settings: Settings, stopped: asyncio.Event, on_listening: Callable[[Ports], None]) -> None:
    """Serve until `stopped` is set.

    Raises:
        SettingError: it cannot listen so.
    """
    limits = Limits()
    _allow_descriptors(limits.connections_max + _OTHER_DESCRIPTORS)
    async with listening(settings, limits=limits) as ports:
        on_listening(ports)
        await stopped.wait()


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set, in the running loop."""
    stopped = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def log_to_stderr() -> None:
    """Log the course of life, in the form of the gateway's own log."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _allow_descriptors(needed: int) -> None:
    """Be allowed so many open files, as far as the system lets us: usually it starts programs with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if wanted < needed:
            log.warning("few connections at one time: descriptors=%d needed=%d", wanted, needed)


def main() -> int:
    """Serve what standard input says."""
    log_to_stderr()
    settings = read_settings(sys.stdin.buffer.read())

    def say(ports: Ports) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(ports) + b"\n")
        sys.stdout.buffer.flush()

    async def run() -> None:
        await serve(settings, stop_event(), say)

    try:
        asyncio.run(run())
    except SettingError as error:
        sys.stderr.write(f"smartwatts-trainer: {error}\n")
        return error.exit_code
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
