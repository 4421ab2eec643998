"""SQLite as the store sees it: a few verbs and one error. The only place that connects to it.

Tests hand in another `Connect`: a disk that fails, a card that forgets what was not synced.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import aiosqlite

Value = int | float | str | bytes | None
Row = tuple[Any, ...]
# How the card fares under the file.
Card = Literal["ok", "full", "read_only", "failing"]

# Extended error codes of SQLite carry the primary one in their lowest byte.
_PRIMARY_CODE = 0xFF
# The card, the rights or another program is at fault, and not what the file holds.
_CARD_CODES: dict[int, Card] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_IOERR: "failing",
    sqlite3.SQLITE_CANTOPEN: "failing",
    sqlite3.SQLITE_PERM: "failing",
    sqlite3.SQLITE_AUTH: "failing",
    sqlite3.SQLITE_BUSY: "failing",
    sqlite3.SQLITE_LOCKED: "failing",
    sqlite3.SQLITE_PROTOCOL: "failing",
    sqlite3.SQLITE_NOMEM: "failing",
    sqlite3.SQLITE_NOLFS: "failing",
    sqlite3.SQLITE_INTERRUPT: "failing",
}


class StorageError(Exception):
    """The store's file cannot be used now. `card` says what is wrong with the card; None: the file is damaged."""

    def __init__(self, message: str, card: Card | None) -> None:
        self.card = card
        super().__init__(message)


class Database(Protocol):
    """One connection. A transaction lasts from `execute("BEGIN IMMEDIATE")` to `commit` or `rollback`.

    Each verb raises StorageError for trouble of the file or the card. One that is cancelled may still take place,
    before anything that is asked for later.
    """

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        """Run one statement."""
        ...

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement for each row."""
        ...

    async def query(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """All rows of one statement, which is given up when the wait for it is."""
        ...

    async def script(self, sql: str) -> None:
        """Run many statements."""
        ...

    async def commit(self) -> None:
        """End the transaction: on return it survives a power cut. Nothing outside of one."""
        ...

    async def rollback(self) -> None:
        """Take the transaction back. Nothing outside of one."""
        ...

    async def close(self) -> None:
        """Let go of the file."""
        ...


Connect = Callable[[Path], Awaitable[Database]]


def storage_error(code: int, message: str) -> StorageError:
    """The error with that result code of SQLite, primary or extended."""
    return StorageError(message, _CARD_CODES.get(code & _PRIMARY_CODE))


class SqliteDatabase:
    """The real thing: SQLite in a thread of its own."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Connect to the file at `path`."""
        with _translated():
            # Autocommit: a transaction begins where the store says so.
            connection = aiosqlite.connect(path, isolation_level=None)
            try:
                await connection
            except sqlite3.Error:
                # Its thread ends by itself, and complains when the loop is gone by then.
                await asyncio.to_thread(connection._thread.join)  # noqa: SLF001 - there is no other way to wait for it
                raise
        connection.text_factory = _text
        return cls(connection)

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        """Run one statement."""
        with _translated():
            await self._connection.execute_fetchall(sql, parameters)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement for each row."""
        with _translated():
            async with self._connection.executemany(sql, rows):
                pass

    async def query(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """All rows of one statement, which is given up when the wait for it is."""
        try:
            with _translated():
                return [tuple(row) for row in await self._connection.execute_fetchall(sql, parameters)]
        except asyncio.CancelledError:
            await self._connection.interrupt()
            raise

    async def script(self, sql: str) -> None:
        """Run many statements."""
        with _translated():
            async with self._connection.executescript(sql):
                pass

    async def commit(self) -> None:
        """End the transaction."""
        with _translated():
            await self._connection.commit()

    async def rollback(self) -> None:
        """Take the transaction back."""
        with _translated():
            await self._connection.rollback()

    async def close(self) -> None:
        """Let go of the file; what SQLite would still tidy up there, the next start will."""
        with _translated():
            await self._connection.close()


async def connect_sqlite(path: Path) -> Database:
    """A connection to the file at `path`."""
    return await SqliteDatabase.open(path)


def _text(data: bytes) -> str:
    # A damaged page may hold anything; it is found out by what the text should say.
    return data.decode("utf-8", "replace")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # our own mistake
    except UnicodeDecodeError as error:
        # SQLite quotes a damaged schema in what it says, and sqlite3 takes that for text.
        raise StorageError(f"what SQLite says of this file is no text: {error}", None) from error
    except sqlite3.Error as error:
        raise storage_error(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT), str(error)) from error
