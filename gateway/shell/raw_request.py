"""Single readings that somebody asks to be kept: a small file in the gateway's folder, taken up within seconds.

The file says how far back and how far on, in seconds of the gateway's own clock, because who asks may have another.
"""

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from firmware_bridge.clock import Clock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.records import UNDECODABLE
from gateway.shell import durable
from gateway.shell.store_folder import LOCK_NAME

log = logging.getLogger(__name__)

FILE_NAME = "raw.request"
FILE_BYTES_MAX = 1024
# Real seconds between two looks: somebody waits, and looking costs nothing.
LOOK_S = 2.0
# An hour of single readings is a load for the card that somebody has asked for; more is a setting.
SECONDS_MAX = 3600

Seconds = Annotated[int, Meta(ge=0, le=SECONDS_MAX)]


class RawRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keep the single readings from so many seconds ago until so many seconds from now."""

    before_s: Seconds
    after_s: Seconds


def ask(folder: Path, request: RawRequest) -> None:
    """Leave `request` for the gateway that runs on `folder`.

    Raises:
        SettingError: none runs there, or the folder cannot be written.
    """
    try:
        if not _is_in_use(folder):
            problem = "no gateway runs on it, so there are no readings to keep"
            raise SettingError("store.folder", str(folder), problem, "start the gateway first")
        durable.write_atomically(folder / FILE_NAME, msgspec.json.encode(request), 0o644)
    except OSError as error:
        next_step = "run this as the user of the gateway"
        raise SettingError("store.folder", str(folder), f"cannot be written ({error.strerror})", next_step) from error


def decode_request(data: bytes) -> RawRequest:
    """What is in the file.

    Raises:
        ValueError: it is none of ours.
    """
    try:
        return msgspec.json.decode(data, type=RawRequest)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from error


async def watch(folder: Path, keep: Callable[[UtcUs, UtcUs], bool], clock: Clock) -> None:
    """Hand each request to `keep`, for ever."""
    while True:
        if (request := _take(folder / FILE_NAME)) is not None:
            now_us = clock.utc_us()
            from_us, to_us = now_us - request.before_s * US_PER_S, now_us + request.after_s * US_PER_S
            is_kept = keep(UtcUs(from_us), UtcUs(to_us))
            log.info("single readings asked for: request=%s kept=%s", request, is_kept)
        await clock.sleep_for(LOOK_S * clock.rate)


def _take(path: Path) -> RawRequest | None:
    """The request at `path`, which is gone afterwards: one that cannot be read must not come back for ever."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX)
        path.unlink()
        return decode_request(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("request for single readings cannot be read: file=%s error=%s", path, error)
        return None


def _is_in_use(folder: Path) -> bool:
    """Whether a gateway holds the folder."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
