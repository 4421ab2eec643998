"""The rows of a CSV file as other programs write it, one at a time, in bounded memory. A shell.

Commas, semicolons, tabs or bars; UTF-8 with a mark in front or without, or UTF-16; gzipped or not.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path

from firmware_bridge.errors import SettingError

# Twenty years of minutes.
ROWS_MAX = 10_000_000
# Some hundred columns; a file without ends of lines is none of ours.
LINE_CHARACTERS_MAX = 64 * 1024
# What a small gzipped file may become before somebody says no.
CHARACTERS_MAX = 4 * 1024**3
DELIMITERS = (",", ";", "\t", "|")
_GZIP, _UTF_16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
_SHOWN_CHARACTERS = 200


class CsvRows:
    """An open file: its delimiter is known, and its rows can be read once."""

    def __init__(self, path: Path, lines: Iterator[str], columns: Sequence[str]) -> None:
        """Read the header.

        Raises:
            SettingError: it has not all of `columns`, or one of them twice.
        """
        self._path, self._lines = path, lines
        header = next((line for line in lines if line.strip()), "")
        self.delimiter = max(DELIMITERS, key=lambda one: _score(header, one, columns))
        names = [name.strip() for name in _cells(header, self.delimiter)]
        self._places = [_place(path, names, column) for column in columns]

    def __iter__(self) -> Iterator[list[str]]:
        """The cells of the wanted columns, row by row; empty where a row is too short.

        Raises:
            SettingError: not CSV, or too long.
        """
        reader = csv.reader(self._lines, delimiter=self.delimiter, skipinitialspace=True)
        rows = 0
        try:
            for cells in reader:
                if not cells:
                    continue
                rows += 1
                if rows > ROWS_MAX:
                    problem = f"has more than {ROWS_MAX} rows"
                    raise SettingError("data", str(self._path), problem, "cut it, or give longer intervals")
                yield [cells[place].strip() if place < len(cells) else "" for place in self._places]
        except csv.Error as error:
            raise SettingError(
                "data", str(self._path), f"is not CSV: {error} at line {reader.line_num}", "export it again"
            ) from error


@contextmanager
def open_csv(path: Path, columns: Sequence[str]) -> Iterator[CsvRows]:
    """The rows of the file at `path`, of which `columns` are wanted.

    Raises:
        SettingError: here or while it is read: it cannot be read, is not CSV, or lacks a column.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
            file.seek(0)
            content = gzip.GzipFile(fileobj=file) if start == _GZIP else file
            encoding = "utf-16" if _first_two(content) in _UTF_16 else "utf-8-sig"
            # A sign in a header that is not UTF-8 harms nobody who does not name it.
            with TextIOWrapper(content, encoding=encoding, errors="replace", newline="") as text:
                yield CsvRows(path, _bounded(path, text), columns)
    except (OSError, EOFError, zlib.error) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise SettingError("data", str(path), f"cannot be read ({problem})", "check its path") from error


def _first_two(content: gzip.GzipFile | BufferedReader) -> bytes:
    start = content.read(2)
    content.seek(0)
    return start


def _bounded(path: Path, text: TextIOWrapper) -> Iterator[str]:
    """The lines of `text`, each of them and all together no longer than they may be."""
    characters = 0
    while line := text.readline(LINE_CHARACTERS_MAX):
        characters += len(line)
        if len(line) == LINE_CHARACTERS_MAX:
            problem = f"has a line of more than {LINE_CHARACTERS_MAX} characters"
            raise SettingError("data", str(path), problem, "export it as CSV")
        if characters > CHARACTERS_MAX:
            raise SettingError("data", str(path), f"is longer than {CHARACTERS_MAX >> 30} GB", "cut it")
        yield line


def _score(header: str, delimiter: str, columns: Sequence[str]) -> tuple[int, int]:
    """How well a delimiter fits: by the columns that it shows, then by how many there are."""
    names = {name.strip() for name in _cells(header, delimiter)}
    return sum(column in names for column in columns), len(names)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _place(path: Path, names: list[str], column: str) -> int:
    if column not in names:
        there = ", ".join(names)[:_SHOWN_CHARACTERS] or "none"
        raise SettingError("column", repr(column), f"is not in {path.name}, which has: {there}", "name one of those")
    if names.count(column) > 1:
        raise SettingError("column", repr(column), f"is in {path.name} more than once", "give each its own name")
    return names.index(column)
