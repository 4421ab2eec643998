"""A card that takes nothing for a while: a real store file, over which the disk refuses what it is told to refuse."""

from collections.abc import Sequence
from pathlib import Path

from gateway.shell.database import Card, Database, Row, SqliteDatabase, StorageError, Value


class WeakCard:
    """Hand `connect` to a store, then say how the card fares."""

    def __init__(self) -> None:
        self.card: Card = "ok"
        # whether reading fails as well
        self.is_gone = False
        # so many writes are taken before one is refused; None: no end
        self.writes_left: int | None = None
        self.connections = 0

    async def connect(self, path: Path) -> Database:
        self.refuse_write()
        self.connections += 1
        return _WeakDatabase(self, await SqliteDatabase.open(path))

    def refuse_read(self) -> None:
        if self.card != "ok" and self.is_gone:
            raise StorageError(f"the card is {self.card}", self.card)

    def refuse_write(self) -> None:
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                self.writes_left = None
                raise StorageError("the card hiccups", "failing")
        if self.card != "ok":
            raise StorageError(f"the card is {self.card}", self.card)


class _WeakDatabase:
    def __init__(self, card: WeakCard, database: SqliteDatabase) -> None:
        self._card, self._database = card, database

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        self._card.refuse_write()
        await self._database.execute(sql, parameters)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._card.refuse_write()
        await self._database.execute_many(sql, rows)

    async def query(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        self._card.refuse_read()
        return await self._database.query(sql, parameters)

    async def script(self, sql: str) -> None:
        self._card.refuse_write()
        await self._database.script(sql)

    async def commit(self) -> None:
        self._card.refuse_write()
        await self._database.commit()

    async def rollback(self) -> None:
        self._card.refuse_read()
        await self._database.rollback()

    async def close(self) -> None:
        await self._database.close()
