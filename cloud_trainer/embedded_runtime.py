"""The private directory beside an embedded PostgreSQL, for its socket and for what one start needs. A shell.

It goes with its process: removed at the end, and when the process was killed, by the next one anywhere.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# A socket's path has at most 107 bytes, and the server's account must reach it: $TMPDIR promises neither.
_PARENT = Path("/tmp")  # noqa: S108 - mkdtemp makes a private directory in it
_PREFIX = "smartwatts-pg-"
_LOCK = "lock"


def lock(path: Path, flags: int = 0) -> int:
    """Hold the file at `path`, made when missing, until the descriptor returned is closed or the process dies.

    Raises:
        BlockingIOError: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def runtime_directory() -> Iterator[Path]:
    """A new directory with a short path, ours alone, for as long as the block lasts."""
    _sweep()
    runtime = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PARENT))
    try:
        # Named only once it is held: a sweep never sees it free.
        held = lock(runtime / "new", os.O_CREAT)
        try:
            (runtime / "new").rename(runtime / _LOCK)
            yield runtime
        finally:
            os.close(held)
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def _sweep() -> None:
    """Remove the directories whose processes were killed: nobody holds their lock any more."""
    for runtime in _PARENT.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = lock(runtime / _LOCK)
            try:
                shutil.rmtree(runtime)
            finally:
                os.close(held)
