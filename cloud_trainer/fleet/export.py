"""Everything of a site as files that any program reads: one CSV for each kind of record, and a manifest. A shell.

What is written is one snapshot of the database. It is streamed: a site of ten years takes disk and no memory. The
manifest is written last, so a folder without one holds an export that was cut short.
"""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from cloud_trainer.database import Connection
from cloud_trainer.fleet.csv_file import CsvFile, Written
from cloud_trainer.fleet.export_tables import LIST_MONTHS, RAW, READINGS, TABLES, UNDECODABLE, Table
from cloud_trainer.fleet.gateways import Gateway, gateways
from cloud_trainer.fleet.sites import find_site
from firmware_bridge.errors import ConflictError, SettingError
from gateway.contract.raw import unpack_raw
from gateway.contract.records import RawBlock, RecordError, decode_record

MANIFEST = "manifest.json"
# What people made of our data should still be theirs alone.
_FOLDER_MODE = 0o700

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Tell = Callable[[str], None]


class Manifest(msgspec.Struct, frozen=True):
    """What an export holds; `files` have a header line, instants in UTC and SI base units."""

    organisation: str
    site: str
    exported_us: int
    gateways: list[Gateway]
    files: list[Written]


def take_snapshot(connection: Connection) -> None:
    """Let everything that is read on `connection` from now on be of one instant, and nothing be written."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    # how instants are written, and what a month is
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET datestyle TO ISO")


def export_site(
    connection: Connection, organisation: str, site: str, folder: Path, *, now_us: int, tell: Tell
) -> Manifest:
    """Write all of the site into `folder`, which must be new or empty.

    Args:
        connection: one that `take_snapshot` prepared.
        organisation: whose site.
        site: which one.
        folder: where to.
        now_us: the present instant.
        tell: gets a line now and then, for whoever waits.

    Raises:
        NotFoundError: the organisation has no such site.
        ConflictError: there is something in the folder.
        SettingError: the folder cannot be used.
    """
    found = find_site(connection, organisation, site)
    names = {"organisation": organisation, "site": site}
    try:
        _prepare(folder)
        files = [_export_readings(connection, names, folder, tell)]
        files += [_export_table(connection, table, names, folder, tell) for table in TABLES]
        files += _export_packed(connection, names, folder, tell)
        known = [one for one in gateways(connection, organisation, now_us) if one.gateway in found.gateways]
        manifest = Manifest(organisation, site, now_us, known, files)
        (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    except OSError as error:
        raise SettingError("--folder", str(folder), f"cannot be used ({error.strerror})", "name another") from error
    return manifest


def _prepare(folder: Path) -> None:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    if next(folder.iterdir(), None) is not None:
        raise ConflictError("--folder", str(folder), "is not empty", "name an empty or new folder")


def _export_readings(connection: Connection, names: dict[str, Any], folder: Path, tell: Tell) -> Written:
    """By gateway and month: what the server has to sort at once stays small, and something is seen to happen."""
    months = connection.execute(LIST_MONTHS, names).fetchall()
    with CsvFile(folder, READINGS.name, READINGS.columns) as file:
        for gateway, start in months:
            _copy(connection, READINGS, names | {"gateway": gateway, "month": start}, file)
            tell(f"readings of {gateway} in {_month(start)}: {file.rows} rows so far")
    return file.written()


def _export_table(connection: Connection, table: Table, names: dict[str, Any], folder: Path, tell: Tell) -> Written:
    with CsvFile(folder, table.name, table.columns) as file:
        _copy(connection, table, names, file)
    tell(f"{file.name}: {file.rows} rows")
    return file.written()


def _copy(connection: Connection, table: Table, names: dict[str, Any], file: CsvFile) -> None:
    cursor = connection.cursor()
    with cursor.copy(f"COPY ({table.select}) TO STDOUT (FORMAT csv)", names) as rows:
        for chunk in rows:
            file.write(bytes(chunk))
    file.rows += cursor.rowcount


def _export_packed(connection: Connection, names: dict[str, Any], folder: Path, tell: Tell) -> list[Written]:
    """Raw windows, one at a time, and with what came undecodable those that cannot be unpacked."""
    with (
        CsvFile(folder, RAW.name, RAW.columns) as raw,
        CsvFile(folder, UNDECODABLE.name, UNDECODABLE.columns) as undecodable,
        connection.cursor("raw_window") as cursor,
    ):
        _copy(connection, UNDECODABLE, names, undecodable)
        cursor.itersize = 1
        for gateway, recorded_at, body in cursor.execute(RAW.select, names):
            try:
                raw.write_rows(_raw_rows(gateway, body))
            except RecordError:
                undecodable.write_rows([(gateway, recorded_at, None, body.hex())])
    files = [raw, undecodable]
    for file in files:
        tell(f"{file.name}: {file.rows} rows")
    return [file.written() for file in files]


def _raw_rows(gateway: str, body: bytes) -> Iterator[tuple[object, ...]]:
    """The readings of a window, series by series."""
    block = decode_record(body)
    if not isinstance(block, RawBlock):
        raise RecordError("the record is no raw window")
    readings = unpack_raw(block)
    instants = [str(_EPOCH + timedelta(microseconds=at_us)) for at_us in readings.ticks]
    columns = zip(readings.series, readings.values.tolist(), readings.quality.tolist(), strict=True)
    for series, values, grades in columns:
        for instant, value, grade in zip(instants, values, grades, strict=True):
            shown = None if math.isnan(value) else value
            yield gateway, block.reason, series.meter, series.measurand.value, instant, shown, grade


def _month(start: datetime) -> str:
    return f"{start:%Y-%m}"
