"""The folder of the store: whose it is, what lies there under which name, and what its disk says when it refuses."""

import errno
import fcntl
import os
from pathlib import Path

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.shell.database import Card, StorageError
from gateway.shell.durable import sync_folder
from gateway.shell.worn_file import WornFile

FILE_NAME = "store.sqlite"
LOCK_NAME = "store.lock"
# SQLite cuts its log back to eight megabytes; one transaction on top of that is far below this.
_LOG_BYTES_MAX = 64 * 1024 * 1024
_WAL, _SHM = "-wal", "-shm"
# Errors of the disk under the folder. All others, such as a missing permission, an installer must mend.
_CARD_ERRORS: dict[int, Card] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EROFS: "read_only",
    errno.EIO: "failing",
    errno.ENXIO: "failing",
    errno.ENODEV: "failing",
    errno.EUCLEAN: "failing",
    errno.ESTALE: "failing",
    errno.EREMOTEIO: "failing",
    errno.ETIMEDOUT: "failing",
}


def refused(folder: Path, error: OSError) -> StorageError | SettingError:
    """What an error of the file system means for the store: the card is away, or the setting cannot work."""
    card = _CARD_ERRORS.get(error.errno or 0)
    if card is not None:
        return StorageError(str(error), card)
    problem = f"cannot be used ({error.strerror})"
    return SettingError("store.folder", str(folder), problem, "give the service the right to write there")


class FolderLock:
    """Keeps every other gateway out of the folder; two on it would break the one-writer law."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Take the lock, or see that it is still ours: with the folder, the file it was on may be gone.

        Raises:
            ConflictError: another gateway holds it.
            SettingError: the folder cannot be used.
            StorageError: the card is away; then nobody else can write there either.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise refused(self._folder, error) from error
        if self._descriptor is not None and os.path.sameopenfile(descriptor, self._descriptor):
            os.close(descriptor)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            next_step = "stop the other one or give this one its own folder"
            problem = "is in use by another gateway"
            raise ConflictError("store.folder", str(self._folder), problem, next_step) from error
        self.release()
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def touch(path: Path) -> None:
    """See that the file at `path` can be written; SQLite says less about one that it cannot open.

    Raises:
        SettingError: the rights or the path are wrong.
        StorageError: the card is away.
    """
    try:
        path.open("ab").close()
    except OSError as error:
        raise refused(path.parent, error) from error


def identity(path: Path) -> tuple[int, ...] | None:
    """Which files lie at `path` and beside it as its log; None when one of them does not.

    Raises:
        StorageError: the disk does not say.
    """
    try:
        main, wal = path.stat(), _beside(path, _WAL).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(str(error), "failing") from error
    return main.st_dev, main.st_ino, wal.st_ino


def aside_name(path: Path, why: str, now_us: UtcUs) -> str:
    """A name that nothing has yet, for a file that is moved out of the way and kept."""
    at_us = now_us
    while path.with_name(f"{why}-{at_us}.sqlite").exists():
        at_us = UtcUs(at_us + 1)
    return f"{why}-{at_us}.sqlite"


def move_aside(path: Path, name: str) -> None:
    """Give the file at `path` and its log another name in the same folder; what is missing stays so.

    Called again after a power cut, it moves what is left: a log must not stay where a new file would find it.

    Raises:
        StorageError: the disk refused.
    """
    aside = path.with_name(name)
    try:
        for suffix in ("", _WAL):
            part = _beside(path, suffix)
            if part.exists():
                part.replace(_beside(aside, suffix))
        _beside(path, _SHM).unlink(missing_ok=True)  # nothing in it that is not in the other two
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(str(error), _CARD_ERRORS.get(error.errno or 0, "failing")) from error


def log_of(path: Path) -> Path:
    """Where SQLite keeps the log of the file at `path`."""
    return _beside(path, _WAL)


def log_bytes(path: Path) -> bytes:
    """The log of the file at `path`, as far as it can be read and a log of ours can be long; b"" when there is none.

    Raises:
        OSError: it cannot be opened, or its disk is gone.
    """
    if not log_of(path).exists():
        return b""
    file = WornFile.open(log_of(path))
    try:
        return file[0:_LOG_BYTES_MAX]
    finally:
        file.close()


def forget_log(path: Path) -> None:
    """Remove the log and the index at `path`: they belong to a file that is there no more."""
    for suffix in (_WAL, _SHM):
        _beside(path, suffix).unlink(missing_ok=True)


def file_bytes(path: Path) -> int:
    """What the file takes on its disk, its log included; 0 when it is not there."""
    return sum(part.stat().st_size for part in (path, log_of(path)) if part.exists())


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
