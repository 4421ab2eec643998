"""The demonstration's folder: made or emptied, and held, so that two cannot destroy each other."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from firmware_bridge.errors import ConflictError, SettingError

# Marks a folder as ours to empty, and is locked while we use it.
MARKER = ".smartwatts-demo"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """The folder, made or emptied, and ours until the block ends; somebody else's folder stays untouched."""
    try:
        str(folder).encode()
        folder.mkdir(parents=True, exist_ok=True)
        entries = [entry for entry in folder.iterdir() if entry.name != MARKER]
        if entries and not (folder / MARKER).exists():
            raise SettingError(
                "--folder", str(folder), "holds something else than a demonstration", "name an empty or new folder"
            )
        # First the marker: a folder that was emptied by half is still ours.
        marker = _lock(folder)
        _remove(entries)
    except UnicodeEncodeError as error:
        raise SettingError("--folder", repr(str(folder)), "is no UTF-8 name", "name another") from error
    except OSError as error:
        raise SettingError("--folder", str(folder), f"cannot be used ({error.strerror})", "name another") from error
    try:
        yield
    finally:
        os.close(marker)


def _lock(folder: Path) -> int:
    """Mark the folder as a demonstration's and hold it; two in one folder would destroy each other."""
    marker = os.open(folder / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(marker)
        next_step = "stop that one, or name another folder"
        raise ConflictError("--folder", str(folder), "is in use by another demonstration", next_step) from error
    return marker


def _remove(entries: Sequence[Path]) -> None:
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
