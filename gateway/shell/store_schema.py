"""What the store's file must be before anything is written to it: ours, of a version we know, set up for the card."""

from importlib.resources import files
from pathlib import Path

from firmware_bridge.errors import SettingError
from gateway.shell.database import Database, Row, StorageError, connect_sqlite

# "SWEg": tells the file from any other SQLite database.
APPLICATION_ID = 0x53574567
# The connection is ours alone; five seconds cover a backup tool that holds the file for a moment.
_BUSY_MS = 5000
# A WAL beyond this is cut back at the next checkpoint, so that a burst does not keep the card full.
_WAL_BYTES_MAX = 8 * 1024 * 1024
_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"busy_timeout={_BUSY_MS}",
    f"journal_size_limit={_WAL_BYTES_MAX}",
    "temp_store=MEMORY",
    # Debian's SQLite overwrites what is deleted: that would write each record to the card a second time.
    "secure_delete=FAST",
)
_TABLES = "SELECT name, sql FROM sqlite_master ORDER BY name"


def migrations() -> list[str]:
    """The scripts that lead from version to version, the one from nothing to version 1 first."""
    folder = files("gateway.shell").joinpath("schema")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    return [folder.joinpath(name).read_text() for name in names]


async def prepare(database: Database, path: Path) -> None:
    """Set up the connection and bring the file to our version; a file without tables becomes a store.

    Raises:
        StorageError: the card takes nothing, or the file is damaged or none of ours.
        SettingError: it is from a newer version.
    """
    scripts = migrations()
    version = await _version(database, path, scripts)
    if version == 0:
        await database.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table, or never
    for setting in _SETTINGS:
        await database.execute(f"PRAGMA {setting}")
    if version == len(scripts):
        return
    for number, script in enumerate(scripts[version:], version + 1):
        marks = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={number};"
        await database.script(f"BEGIN IMMEDIATE; {script} {marks} COMMIT;")
    # The tables themselves must be in the file before anything is acknowledged.
    await database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _version(database: Database, path: Path, scripts: list[str]) -> int:
    """The version of the file, 0 for one without tables."""
    if not await database.query(_TABLES):
        # Tables made on top of what lies there would write over it.
        if await _number(database, "PRAGMA page_count") > 1:
            raise StorageError("its tables are gone", None)
        return 0
    if await _number(database, "PRAGMA application_id") != APPLICATION_ID:
        raise StorageError("this is not a store of ours", None)
    version, newest = await _number(database, "PRAGMA user_version"), len(scripts)
    if version > newest:
        if await database.query(_TABLES) == await _tables_made_by(scripts):
            raise StorageError(f"its tables are of version {newest}, and its header says {version}", None)
        raise SettingError(
            "store.folder",
            str(path.parent),
            f"holds a store of version {version}, this gateway knows {newest}",
            "install the gateway that wrote it, or give another folder",
        )
    return max(version, 1)


async def _tables_made_by(scripts: list[str]) -> list[Row]:
    """The tables of a file that has just been made."""
    model = await connect_sqlite(Path(":memory:"))
    try:
        await model.script("".join(scripts))
        return await model.query(_TABLES)
    finally:
        await model.close()


async def _number(database: Database, query: str) -> int:
    ((number,),) = await database.query(query)
    assert isinstance(number, int)
    return number
