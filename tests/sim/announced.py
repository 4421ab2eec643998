"""Steps of a program that announces them to its parent, who may want to kill it there.

The child stands still at a step that was ordered until it is told to go on, or is killed: there, and nowhere else.
Steps that are named "in ..." are announced on their way in, and the child goes on at once: the blow falls within.
"""

import socket
from pathlib import Path
from typing import Any

import aiohttp

from gateway.shell.database import Database, Row, Value, connect_sqlite

NOTHING = b"-"
_MESSAGE_BYTES_MAX = 128
# What a transaction is for: the first of these that one of its statements begins with.
_PURPOSES = {
    "generation": "INSERT INTO generation",
    "prune": "DELETE FROM record",
    "acknowledge": "UPDATE cursor SET sequence = ? WHERE name = 'sync'",
    "append": "INSERT INTO record",
}
COMMITS = [f"{when} commit of {purpose}" for purpose in _PURPOSES for when in ("before", "in", "after")]
CHECKPOINT = "in checkpoint"
SENDING, ANSWERED = "while sending", "before the answer is read"
# SQLite moves its log into the file after so many pages: every few blocks, and not once a day.
_CHECKPOINT_PAGES = 24


class Herald:
    """The child's end of the line to its parent."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._number, self._step = b"", ""

    def say(self, word: bytes) -> None:
        """Tell the parent something else."""
        self._channel.send(word)

    def wants(self, step: str) -> bool:
        """Whether this step was ordered."""
        while True:
            try:
                order = self._channel.recv(_MESSAGE_BYTES_MAX, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if not order:
                raise EOFError("nobody is left to announce to")
            self._number, _, wanted = order.partition(b" ")
            self._step = wanted.decode()
        return step == self._step

    def reach(self, step: str) -> None:
        """We are there."""
        if not self.wants(step):
            return
        self._step = ""
        self._channel.send(self._number)
        if not step.startswith("in "):
            self._channel.recv(_MESSAGE_BYTES_MAX, socket.MSG_PEEK)

    async def connect(self, path: Path) -> Database:
        """Connect as the store does; steps are announced."""
        database = await connect_sqlite(path)
        await database.query(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return AnnouncedDatabase(database, self)

    def listen(self, session: aiohttp.ClientSession) -> None:
        """Announce the steps of requests to the cloud."""
        traces = aiohttp.TraceConfig()

        async def sending(_: Any, __: Any, head: aiohttp.TraceRequestHeadersSentParams) -> None:
            if head.method == "POST":
                self.reach(SENDING)

        async def answered(_: Any, __: Any, end: aiohttp.TraceRequestEndParams) -> None:
            if end.method == "POST":
                self.reach(ANSWERED)

        traces.on_request_headers_sent.append(sending)
        traces.on_request_end.append(answered)
        traces.freeze()
        session.trace_configs.append(traces)


class AnnouncedDatabase:
    """The real thing, between two announcements."""

    def __init__(self, database: Database, herald: Herald) -> None:
        self._database, self._herald = database, herald
        self._purposes: set[str] = set()

    async def execute(self, sql: str, parameters: tuple[Value, ...] = ()) -> None:
        self._note(sql)
        await self._database.execute(sql, parameters)

    async def execute_many(self, sql: str, rows: list[tuple[Value, ...]]) -> None:
        if rows:
            self._note(sql)
        await self._database.execute_many(sql, rows)

    async def query(self, sql: str, parameters: tuple[Value, ...] = ()) -> list[Row]:
        return await self._database.query(sql, parameters)

    async def script(self, sql: str) -> None:
        await self._database.script(sql)

    async def commit(self) -> None:
        purpose = next((name for name in _PURPOSES if name in self._purposes), "nothing of ours")
        self._herald.reach(f"before commit of {purpose}")
        self._herald.reach(f"in commit of {purpose}")
        await self._database.commit()
        self._herald.reach(f"after commit of {purpose}")
        if self._herald.wants(CHECKPOINT):
            self._herald.reach(CHECKPOINT)
            await self._database.query("PRAGMA wal_checkpoint(TRUNCATE)")

    async def rollback(self) -> None:
        await self._database.rollback()

    async def close(self) -> None:
        await self._database.close()

    def _note(self, sql: str) -> None:
        if sql.startswith("BEGIN"):
            self._purposes.clear()
        self._purposes |= {name for name, begin in _PURPOSES.items() if sql.startswith(begin)}
