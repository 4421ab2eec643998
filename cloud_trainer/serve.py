"""A repository over HTTP on loopback: plain files with ranges, for demonstrations and tests.

In production any static web server does this; the signatures do not need to trust it.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from cloud_trainer.announce import announce
from firmware_bridge.errors import SettingError
from firmware_bridge.port import port_error
from gateway.contract.repository import METADATA_FOLDER, TARGETS_FOLDER

_HOST = "127.0.0.1"
# A reader in mid-download is cut at the end: it resumes another day.
_SHUTDOWN_S = 1.0


@asynccontextmanager
async def serving(repository: Path, port: int) -> AsyncIterator[int]:
    """Serve `repository` within the block; yields the port, chosen by the system when `port` is 0.

    Raises:
        SettingError: it cannot be written, or the port is taken (ConflictError).
    """
    application = web.Application()
    for folder in (METADATA_FOLDER, TARGETS_FOLDER):
        try:
            (repository / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(
                "repository", str(repository), f"cannot be used ({error.strerror})", "give a folder of yours"
            ) from error
        application.router.add_static(f"/{folder}", repository / folder)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, _HOST, port).start()
        except (OSError, OverflowError) as error:
            raise port_error(_HOST, port, error) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def serve(repository: Path, port: int, port_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; the port is in `port_file` as soon as it listens."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serving(repository, port) as listening_on:
        if port_file is not None:
            announce("--port-file", port_file, f"{listening_on}\n")
        sys.stderr.write(f"smartwatts-trainer: serve listens on http://{_HOST}:{listening_on}\n")
        await stopped.wait()
