"""Where the store's file stands: its generations, its counter, its cursor, and what waits behind that.

All of it is in the file and read from there; while a file is open a copy is kept up to date, so that nothing of it
needs the card.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from firmware_bridge.reading import UtcUs
from gateway.shell.database import Database, StorageError
from gateway.shell.generations import Generation, is_id

# With fewer records waiting than these, a start counts them: that takes a few tenths of a second.
_COUNTED_RECORDS_MIN = 10_000
_NO_END = 2**63 - 1
_NOT_REFUSED = "sequence NOT IN (SELECT sequence FROM quarantine)"
_WAITING = f"sequence > ? AND {_NOT_REFUSED} AND (?2 IS NULL OR instr(?2, ' ' || kind || ' '))"


class Waits(NamedTuple):
    """How much of a kind waits."""

    records: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Position:
    """Where a file stands."""

    generations: list[Generation]
    last: int
    acknowledged: int
    # by kind: what is behind the cursor and not in quarantine
    backlog: dict[str, Waits] = field(default_factory=dict)
    # everything up to here is in the table of that name; 0: it is empty
    counted: int = 0
    dropped_records: int = 0
    quarantined: int = 0
    # the kinds that go home, each between spaces; None before anybody asked for any
    kinds: str | None = None
    # of the oldest record that waits to go home
    oldest_us: UtcUs | None = None
    # when the last record was written whose instants are right
    newest_us: UtcUs | None = None
    # whether records are still being stamped anew
    is_stamping: bool = False
    # by kind (None: what is at home): up to there nothing stands that may go for want of room
    kept_through: dict[str | None, int] = field(default_factory=dict)

    def waits(self) -> Waits:
        """How much waits to go home."""
        shared = [waits for kind, waits in self.backlog.items() if self.goes_home(kind)]
        return Waits(sum(one.records for one in shared), sum(one.bytes for one in shared))

    def goes_home(self, kind: str) -> bool:
        """Whether records of `kind` are sent; all are where nobody said."""
        return self.kinds is None or f" {kind} " in self.kinds

    def add(self, kind: str, size: int, records: int = 1) -> None:
        """A record came; or went, with negative numbers."""
        before = self.backlog.get(kind, Waits())
        self.backlog[kind] = Waits(before.records + records, before.bytes + size)


async def read_position(database: Database) -> Position:
    """Where the file itself says that it stands.

    Raises:
        StorageError: it cannot be read, or what it says cannot be.
    """
    cursors: dict[str, object] = dict(await database.query("SELECT name, sequence FROM cursor"))
    generations = [
        Generation(first, one)
        for first, one in await database.query("SELECT first_sequence, id FROM generation ORDER BY first_sequence")
    ]
    acknowledged, counted, dropped = (cursors.get(name) for name in ("sync", "counted", "dropped"))
    if not (isinstance(acknowledged, int) and isinstance(counted, int)):
        raise StorageError("this store has no cursor", None)
    if not all(is_id(one.id) for one in generations):
        raise StorageError("this store has a generation without an id", None)
    ((last, quarantined, kinds, stamps, newest_us),) = await database.query(
        "SELECT (SELECT max(sequence) FROM record), (SELECT count(*) FROM quarantine),"
        " (SELECT kinds FROM shared ORDER BY first_sequence DESC LIMIT 1), (SELECT count(*) FROM stamp),"
        " (SELECT recorded_us FROM record WHERE boot IS NULL ORDER BY sequence DESC LIMIT 1)"
    )
    begun = generations[-1].first - 1 if generations else 0
    position = Position(generations, max(last or 0, acknowledged, begun), acknowledged)
    position.quarantined, position.kinds = quarantined, kinds
    position.dropped_records = dropped if isinstance(dropped, int) else 0
    position.is_stamping, position.newest_us = bool(stamps), newest_us
    if counted > acknowledged:
        position.counted = counted
        rows = await database.query("SELECT kind, records, bytes FROM backlog")
        position.backlog = {kind: Waits(records, size) for kind, records, size in rows}
    for kind, waits in (await _count(database, max(counted, acknowledged), _NO_END)).items():
        position.add(kind, waits.bytes, waits.records)
    await find_oldest(database, position)
    return position


async def find_oldest(database: Database, position: Position) -> None:
    """Look up since when something waits."""
    position.oldest_us = None
    if position.waits().records > 0:
        rows = await database.query(
            f"SELECT recorded_us FROM record WHERE {_WAITING} ORDER BY sequence LIMIT 1",  # noqa: S608 - constants
            (position.acknowledged, position.kinds),
        )
        position.oldest_us = next((recorded_us for (recorded_us,) in rows), None)


async def move_cursor(database: Database, position: Position, sequence: int) -> None:
    """Within a transaction: the cursor goes to `sequence`, forward or back, and what waits is counted anew."""
    if sequence < position.acknowledged:
        position.kept_through.clear()
    low, high = sorted((position.acknowledged, sequence))
    sign = 1 if sequence < position.acknowledged else -1
    for kind, waits in (await _count(database, low, high)).items():
        position.add(kind, sign * waits.bytes, sign * waits.records)
    await database.execute("UPDATE cursor SET sequence = ? WHERE name = 'sync'", (sequence,))
    position.acknowledged = sequence
    await write_backlog(database, position)
    await find_oldest(database, position)


async def write_backlog(database: Database, position: Position) -> None:
    """Within a transaction that changed what waits: see that no start counts more than some thousands."""
    waiting = sum(waits.records for waits in position.backlog.values())
    counted = position.last if waiting >= _COUNTED_RECORDS_MIN else 0
    if counted or position.counted:
        await database.execute("DELETE FROM backlog")
        rows = [(kind, *waits) for kind, waits in position.backlog.items() if counted]
        await database.execute_many("INSERT INTO backlog VALUES (?, ?, ?)", rows)
        await database.execute("UPDATE cursor SET sequence = ? WHERE name = 'counted'", (counted,))
        position.counted = counted


async def _count(database: Database, after: int, through: int) -> dict[str, Waits]:
    rows = await database.query(
        "SELECT kind, count(*), sum(length(body)) FROM record"  # noqa: S608 - constants
        f" WHERE sequence > ? AND sequence <= ? AND {_NOT_REFUSED} GROUP BY kind",
        (after, through),
    )
    return {kind: Waits(records, size) for kind, records, size in rows}
