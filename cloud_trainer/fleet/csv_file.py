"""A packed CSV with a header line, counted and digested. A shell."""

import gzip
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

# Readings shrink tenfold at any level; this one keeps up with the database.
_LEVEL = 6


class Written(msgspec.Struct, frozen=True):
    """A file that is complete; `sha256` is of the file as it lies there."""

    name: str
    rows: int
    bytes: int
    sha256: str
    columns: list[str]


class CsvFile:
    """`NAME.csv.gz` in a folder; what writes whole lines past `write_rows` counts them in `rows` itself."""

    def __init__(self, folder: Path, name: str, columns: Sequence[str]) -> None:
        """Make the file, which must not be there, and write the header."""
        self.name, self.rows = name, 0
        self._path, self._columns = folder / f"{name}.csv.gz", list(columns)
        self._raw = self._path.open("xb")
        # without name and time in it: the same rows make the same bytes
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=self._raw, mtime=0)
        self.write((",".join(columns) + "\n").encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._packed.close()
        finally:
            self._raw.close()

    def write(self, lines: bytes) -> None:
        """Add whole or partial lines as they are."""
        self._packed.write(lines)

    def write_rows(self, rows: Iterable[Sequence[object]]) -> None:
        """Add rows, as PostgreSQL would: None is an empty field, an empty text a quoted one."""
        lines = [",".join(map(_field, row)) + "\n" for row in rows]
        self.write("".join(lines).encode())
        self.rows += len(lines)

    def written(self) -> Written:
        """What became of it, once it is closed."""
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Written(self._path.name, self.rows, self._path.stat().st_size, digest, self._columns)


def _field(value: object) -> str:
    # the module csv leaves a carriage return unquoted when lines end without one
    if value is None:
        return ""
    text = str(value)
    if text and not any(special in text for special in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'
