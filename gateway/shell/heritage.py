"""What a new file takes over from the one before, beside its records."""

from contextlib import suppress
from dataclasses import dataclass, field

from gateway.shell.database import Database, Row, StorageError
from gateway.shell.generations import Generation
from gateway.shell.store_file import StoreFile

# Tables that are small whatever happens, and their columns.
_SMALL_TABLES = {"quarantine": 3, "shared": 2, "stamp": 2}
_SMALL_ROWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Heritage:
    """What is known of the file before: its generations, its cursor, its last sequence (None: nobody knows)."""

    generations: list[Generation]
    acknowledged: int = 0
    last: int | None = None
    dropped_records: int = 0
    tables: dict[str, list[Row]] = field(default_factory=dict)


async def heritage_of(file: StoreFile) -> Heritage:
    """What an open file leaves; it may be damaged."""
    with suppress(StorageError):
        await file.settle()
    at = file.position
    tables = {}
    for name in _SMALL_TABLES:
        with suppress(StorageError):
            tables[name] = await file.database.query(f"SELECT * FROM {name} LIMIT {_SMALL_ROWS_MAX}")  # noqa: S608 - constants
    return Heritage(at.generations, at.acknowledged, at.last, at.dropped_records, tables)


async def take_over(database: Database, heritage: Heritage) -> None:
    """Within a transaction: what the file before knew, beside its records."""
    for name, rows in heritage.tables.items():
        marks = ", ".join("?" * _SMALL_TABLES[name])
        # A damaged file may say anything: what does not fit is left behind.
        fitting = [row for row in rows if None not in row]
        await database.execute_many(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", fitting)  # noqa: S608 - constants
    await database.execute("UPDATE cursor SET sequence = ? WHERE name = 'dropped'", (heritage.dropped_records,))
