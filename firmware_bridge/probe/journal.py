"""What a probe has heard so far, on disk: an interrupted one goes on where it was. A shell.

JSON lines: first what is probed, then one ask and what was heard after it in each. A line that was cut
off by a power cut ends the file.
"""

import fcntl
import os
from io import FileIO
from pathlib import Path

import msgspec

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.probe.asks import Ask, Heard, Read, Words
from firmware_bridge.probe.search import Search

# The longest search has 16,000 asks of 300 bytes each.
JOURNAL_BYTES_MAX = 16 * 1024 * 1024

_Entry = tuple[Ask, Heard]
_HEAD = msgspec.json.Decoder(dict[str, object])
_ENTRY = msgspec.json.Decoder(_Entry)
# All that msgspec raises for bytes it cannot take.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Journal:
    """The file of one search; nobody else may use it meanwhile."""

    def __init__(self, path: Path, head: dict[str, object], *, is_new: bool = False) -> None:
        """Open the file at `path`; what it holds counts when it begins with `head` and is not to be `is_new`.

        Raises:
            ConflictError: another probe has it open.
            SettingError: it cannot be written, or holds something else than a journal.
        """
        self.path = path
        self.entries: list[_Entry] = []
        self._head = msgspec.json.encode(head) + b"\n"
        self._ends: list[int] = []
        self._file = _opened(path)
        try:
            self._load(is_new=is_new)
        except BaseException:
            self._file.close()
            raise

    def resume(self, search: Search) -> int:
        """Tell `search` all that was heard as long as it asks the same; how many answers it took.

        What is left, because profiles or program have changed since, or somebody wrote in it, is forgotten.
        """
        count = 0
        for ask, heard in self.entries:
            if search.ask != ask or not _can_answer(ask, heard):
                break
            search.take(heard)
            count += 1
        del self.entries[count:]
        self._cut(self._ends[count - 1] if count else len(self._head))
        return count

    def add(self, ask: Ask, heard: Heard) -> None:
        """Keep one answer.

        Raises:
            SettingError: the disk is full.
        """
        self._write(msgspec.json.encode((ask, heard)) + b"\n")

    def close(self) -> None:
        """Keep the file for another time."""
        self._file.close()

    def remove(self) -> None:
        """The search is over and its result is told."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _load(self, *, is_new: bool) -> None:
        data = self._file.read(JOURNAL_BYTES_MAX)
        lines = data.splitlines(keepends=True)
        if lines and not _is_head(lines[0]):
            raise SettingError("--state", str(self.path), "is no journal of a probe", "name another file")
        if is_new or not lines or lines[0] != self._head:
            self._cut(0)
            self._write(self._head)
            return
        end = len(self._head)
        for line in lines[1:]:
            try:
                entry = _ENTRY.decode(line)
            except _UNREADABLE:
                break
            end += len(line)
            self.entries.append(entry)
            self._ends.append(end)

    def _write(self, line: bytes) -> None:
        waiting = memoryview(line)
        try:
            while waiting:
                waiting = waiting[self._file.write(waiting) :]
        except OSError as error:
            next_step = "make room on that disk, or name another file"
            raise SettingError(
                "--state", str(self.path), f"cannot be written ({error.strerror})", next_step
            ) from error

    def _cut(self, end: int) -> None:
        self._file.seek(end)
        self._file.truncate()


def _is_head(line: bytes) -> bool:
    try:
        return "probe" in _HEAD.decode(line)
    except _UNREADABLE:
        return False


def _can_answer(ask: Ask, heard: Heard) -> bool:
    """Whether a line can have given these registers."""
    if not isinstance(heard, Words):
        return True
    is_whole = isinstance(ask, Read) and len(heard.words) == ask.count
    return is_whole and all(0 <= word <= 0xFFFF for word in heard.words)


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what a full disk refused must not be tried again when the file is closed.
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
    except OSError as error:
        next_step = "name a file in a folder you may write to"
        raise SettingError("--state", str(path), f"cannot be used ({error.strerror})", next_step) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        problem = "is in use: another probe searches this line"
        raise ConflictError("--state", str(path), problem, "wait for that one, or stop it") from error
    return file
