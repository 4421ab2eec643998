"""A card whose power is cut: it keeps what was synced, and of the rest whatever chance wants.

SQLite writes through a file layer that notes every write, truncation, deletion and sync in order. At a cut, each
write since the last sync of its file survives wholly, not at all, or sector by sector. The card keeps its word: what
it says is synced, is. Cards that lie about that are tried on the rig, not here.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

import apsw

from gateway.shell.database import Row, Value, storage_error

SECTOR_BYTES = 512
_NUMBERS = count()
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL


class Written(NamedTuple):
    at: int
    data: bytes


class Truncated(NamedTuple):
    size: int


class Synced(NamedTuple):
    pass


class Deleted(NamedTuple):
    """The file is gone; whether for good is certain only when the folder was synced."""

    is_synced: bool


class FolderSynced(NamedTuple):
    """What was made and deleted in the folder is certain."""


class Replaced(NamedTuple):
    """A file beside SQLite's was written whole, synced and renamed; None: it is not there."""

    data: bytes | None


Change = Written | Truncated
Event = Change | Synced | Deleted | FolderSynced | Replaced
Image = dict[str, bytes]


class Card:
    """The files of a folder, and what happened to them since it was mounted.

    `beside` are files that are not SQLite's, written by `write_atomically`.
    """

    def __init__(self, folder: Path, beside: Sequence[str] = (), synchronous: str = "FULL") -> None:
        self.folder = folder
        self.events: list[tuple[str, Event]] = []
        self._synchronous = synchronous
        self._before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self._beside = {name: self._before.get(name) for name in beside}
        self.databases: list[CardDatabase] = []
        self._vfs = _CardVfs(self, f"card-{next(_NUMBERS)}")

    async def connect(self, path: Path) -> "CardDatabase":
        """A connection whose writes are noted; few pages are left in the log, so that checkpoints come often."""
        connection = apsw.Connection(str(path), vfs=self._vfs.vfs_name)
        connection.execute("PRAGMA wal_autocheckpoint=24")
        self.databases.append(CardDatabase(connection, self._synchronous))
        return self.databases[-1]

    def note(self, name: str, event: Event) -> None:
        """Something is about to be done to a file."""
        self.look_beside()
        self.events.append((name, event))

    def look_beside(self) -> None:
        """Note what was done to files that are not SQLite's."""
        for name, before in self._beside.items():
            path = self.folder / name
            data = path.read_bytes() if path.exists() else None
            if data != before:
                self._beside[name] = data
                self.events.append((name, Replaced(data)))

    def cut(self, at: Sequence[int], chance: Random) -> Iterator[Image]:
        """What the card holds when the power is cut before each of these events, rising."""
        files = {name: CardFile(bytearray(data)) for name, data in self._before.items()}
        done = 0
        for end in at:
            for name, event in self.events[done:end]:
                files.setdefault(name, CardFile(None)).take(event)
                if isinstance(event, FolderSynced | Replaced):
                    for file in files.values():
                        file.ghost = None
            done = end
            mood = chance.random()
            held = {name: file.after_cut(chance, mood) for name, file in files.items()}
            yield {name: bytes(data) for name, data in held.items() if data is not None}


@dataclass(slots=True)
class CardFile:
    """A file on the card: what is certain of it (None: it may not be there), and what is on its way."""

    synced: bytearray | None
    pending: list[Change] = field(default_factory=list)
    # what was deleted, and may come back
    ghost: bytearray | None = None

    def take(self, event: Event) -> None:
        match event:
            case Synced():
                self.synced = _with(self.synced, self.pending)
                self.pending, self.ghost = [], None
            case Deleted(is_synced):
                self.ghost = None if is_synced else self.synced or self.ghost
                self.synced, self.pending = None, []
            case Replaced(data):
                self.synced = None if data is None else bytearray(data)
            case FolderSynced():
                self.ghost, self.synced = None, self.synced or bytearray()
            case _:
                self.pending.append(event)

    def after_cut(self, chance: Random, mood: float) -> bytearray | None:
        """What of the file survives; `mood`, from 0 to 1, is how much of what was not synced does."""
        if self.ghost is not None and chance.random() < 0.5:
            return self.ghost
        survivors = [part for change in self.pending for part in _survivors(change, chance, mood)]
        if self.synced is None and not survivors and (not self.pending or chance.random() < 0.5):
            return None
        return _with(self.synced, survivors)


def _with(synced: bytearray | None, changes: Sequence[Change]) -> bytearray:
    data = bytearray(synced or b"")
    for change in changes:
        if isinstance(change, Truncated):
            del data[change.size :]
            data.extend(bytes(change.size - len(data)))
        else:
            data.extend(bytes(max(0, change.at + len(change.data) - len(data))))
            data[change.at : change.at + len(change.data)] = change.data
    return data


def _survivors(change: Change, chance: Random, mood: float) -> Iterator[Change]:
    fate = chance.random()
    if fate < mood:
        yield change
    elif isinstance(change, Written) and fate > (1 + mood) / 2:
        yield from (part for part in _sectors(change) if chance.random() < 0.5)


def _sectors(change: Written) -> Iterator[Written]:
    at, end = change.at, change.at + len(change.data)
    while at < end:
        until = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield Written(at, change.data[at - change.at : until - change.at])
        at = until


class CardDatabase:
    """The store's connection to the card, by apsw, whose file layer can be ours."""

    def __init__(self, connection: apsw.Connection, synchronous: str) -> None:
        self._connection = connection
        self._synchronous = synchronous

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        await self.query(sql.replace("synchronous=FULL", f"synchronous={self._synchronous}"), parameters)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        with _translated():
            self._connection.executemany(sql, rows)

    async def query(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        with _translated():
            return list(self._connection.execute(sql, tuple(parameters)))

    async def script(self, sql: str) -> None:
        await self.query(sql)

    async def commit(self) -> None:
        await self._end("COMMIT")

    async def rollback(self) -> None:
        await self._end("ROLLBACK")

    async def close(self) -> None:
        with _translated():
            self._connection.close()

    async def _end(self, verb: str) -> None:
        if self._connection.in_transaction:
            await self.query(verb)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise storage_error(getattr(error, "extendedresult", sqlite3.SQLITE_CORRUPT), str(error)) from error


class _CardVfs(apsw.VFS):
    """The file layer of a card: the real one, and a note of all that it is asked for."""

    def __init__(self, card: Card, name: str) -> None:
        self.vfs_name = name
        self._card = card
        super().__init__(name, "")

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return _NotedFile(self._card, name, flags)

    def xDelete(self, filename, syncdir):  # noqa: N802 - SQLite's name
        self._card.note(Path(filename).name, Deleted(bool(syncdir)))
        super().xDelete(filename, syncdir)


class _NotedFile(apsw.VFSFile):
    def __init__(self, card: Card, name, flags) -> None:
        self._card = card
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary")
        self._name = path.name
        # SQLite syncs the folder together with a journal or a log that it has just made
        self._is_new = bool(flags[0] & _JOURNALS) and not path.exists()
        super().__init__("", name, flags)

    def xWrite(self, data, offset):  # noqa: N802 - SQLite's name
        self._card.note(self._name, Written(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize):  # noqa: N802 - SQLite's name
        self._card.note(self._name, Truncated(newsize))
        super().xTruncate(newsize)

    def xSync(self, flags):  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._card.note(self._name, Synced())
        if self._is_new:
            self._card.note(self._name, FolderSynced())
            self._is_new = False
