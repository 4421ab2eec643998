"""A file on a disk that cannot read all of it any more.

To map it into memory would end the process at the first sector that is gone.
"""

import errno
import os
from pathlib import Path
from typing import Self

SECTOR_BYTES = 512
# What a disk says of a sector that it cannot read; anything else is another trouble.
_UNREADABLE = frozenset({errno.EIO, errno.EUCLEAN, errno.EREMOTEIO, errno.ENODATA, errno.EBADMSG})


class WornFile:
    """The bytes of a file as it is now; zeros where the disk gives none."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size = descriptor, size

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at `path`.

        Raises:
            OSError: it cannot be opened.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return cls(descriptor, os.fstat(descriptor).st_size)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """A stretch of it; the steps are ones.

        Raises:
            OSError: the disk is gone.
        """
        begin, end, step = part.indices(self._size)
        assert step == 1
        try:
            return self._read(begin, end)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
        sectors = range(begin // SECTOR_BYTES * SECTOR_BYTES, end, SECTOR_BYTES)
        return b"".join(self._sector(max(at, begin), min(at + SECTOR_BYTES, end)) for at in sectors)

    def _sector(self, begin: int, end: int) -> bytes:
        try:
            return self._read(begin, end)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            return bytes(end - begin)

    def _read(self, begin: int, end: int) -> bytes:
        parts = []
        while begin < end and (part := os.pread(self._descriptor, end - begin, begin)):
            parts.append(part)
            begin += len(part)
        return b"".join(parts) + bytes(end - begin)  # it may have become shorter
