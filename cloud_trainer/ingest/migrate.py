"""Bring a database to the schema of this program: numbered SQL files, each applied once, in order. A shell."""

from importlib import resources
from typing import Any, LiteralString

import psycopg

from cloud_trainer.ingest.partitions import create_ahead
from firmware_bridge.errors import SettingError

# Any fixed number of our own: two processes that start at once take turns.
_LOCK = 0x5357_4544_4745


def migrate(connection: psycopg.Connection[Any]) -> int:
    """Apply what is missing, all or nothing, make the partitions of the next months, and return the version reached.

    Raises:
        SettingError: the database was made by a newer program.
    """
    files = schema_files()
    newest = max(files)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version ("
            " version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
        assert row is not None
        present: int = row[0]
        if present > newest:
            raise SettingError(
                "dsn",
                f"schema version {present}",
                f"is newer than this program knows ({newest})",
                "update the program",
            )
        for version in range(present + 1, newest + 1):
            connection.execute(files[version])
            connection.execute("INSERT INTO schema_version (version) VALUES (%s)", (version,))
    create_ahead(connection)
    return newest


def schema_files() -> dict[int, LiteralString]:
    """The text of each migration by its number; they count from 1 without a gap."""
    folder = resources.files("cloud_trainer.ingest") / "schema"
    texts = {
        int(file.name.split("_", 1)[0]): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
    assert sorted(texts) == list(range(1, len(texts) + 1)), "migrations are numbered from 1 without a gap"
    return texts
