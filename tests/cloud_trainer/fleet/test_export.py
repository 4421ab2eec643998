import csv
import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.export import MANIFEST, Manifest, export_site, take_snapshot
from cloud_trainer.ingest.db import store_batch
from firmware_bridge.errors import ConflictError, Exit, NotFoundError, SettingError
from tests.sim.cloud_records import START_US, batch, power
from tests.sim.fleet import NOW_US, SITE, raw_record, tenant

pytestmark = [pytest.mark.slow, pytest.mark.pg]

MONTH_US = 31 * 86_400_000_000


def export(dsn: str, organisation: str, folder: Path, site: str = SITE) -> tuple[Manifest, list[str]]:
    told: list[str] = []
    with connect(dsn) as connection:
        take_snapshot(connection)
        return export_site(connection, organisation, site, folder, now_us=NOW_US, tell=told.append), told


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(folder / f"{name}.csv.gz", "rt", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def test_everything_of_a_site_and_nothing_of_another_is_in_the_files(dsn: str, tmp_path: Path) -> None:
    await tenant(dsn, "theirs", [raw_record(START_US)])
    ours = await tenant(dsn, "ours", [power(START_US + MONTH_US, [7.0]), raw_record(START_US), b"no record"])
    manifest, told = export(dsn, "ours", tmp_path / "out")
    counts = {file.name.removesuffix(".csv.gz"): file.rows for file in manifest.files}
    assert counts == {
        "readings": 3, "forecasts": 1, "anomalies": 1, "decisions": 1, "status": 1, "model_reports": 1,
        "undecodable": 1, "raw": 6,
    }  # fmt: skip
    for file in manifest.files:
        data = (tmp_path / "out" / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        rows = rows_of(tmp_path / "out", file.name.removesuffix(".csv.gz"))
        assert len(rows) == file.rows
        assert {row["gateway_id"] for row in rows} == {ours.gateway}
    assert json.loads((tmp_path / "out" / MANIFEST).read_bytes())["gateways"][0]["gateway"] == ours.gateway
    assert [line for line in told if line.startswith("readings")] == [
        "readings of ours-1 in 2024-01: 2 rows so far",
        "readings of ours-1 in 2024-02: 3 rows so far",
    ]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


async def test_values_and_instants_stand_as_the_gateway_told_them(dsn: str, tmp_path: Path) -> None:
    raw = raw_record(START_US)
    await tenant(dsn, "ours", [raw])
    export(dsn, "ours", tmp_path / "out")
    grid, solar = rows_of(tmp_path / "out", "readings")
    assert (grid["meter"], grid["measurand"], grid["mean"], grid["count"]) == ("grid", "active_power_w", "150", "2")
    assert datetime.fromisoformat(grid["period_start"]) == datetime(2024, 1, 1, tzinfo=UTC)
    assert (solar["minimum"], solar["maximum"], solar["quality"]) == ("-60", "-50", "0")
    (forecast,) = rows_of(tmp_path / "out", "forecasts")
    assert json.loads(forecast["p90_w"]) == [5, 60000]
    assert (forecast["kind"], json.loads(forecast["peak_w"])) == ("load_prediction", [2, 4, 60000, 60002])
    (anomaly,) = rows_of(tmp_path / "out", "anomalies")
    assert (anomaly["expected_low"], anomaly["expected_high"]) == ("-100", "")
    readings = [
        (row["meter"], row["measurand"], row["at"], row["value"], row["quality"])
        for row in rows_of(tmp_path / "out", "raw")
    ]
    assert readings == [
        ("grid", "active_power_w", "2024-01-01 00:00:00+00:00", "1.5", "0"),
        ("grid", "active_power_w", "2024-01-01 00:00:01+00:00", "", "2"),
        ("grid", "active_power_w", "2024-01-01 00:00:02+00:00", "-2.0", "1"),
        ("grid", "voltage_v", "2024-01-01 00:00:00+00:00", "230.0", "0"),
        ("grid", "voltage_v", "2024-01-01 00:00:01+00:00", "231.0", "0"),
        ("grid", "voltage_v", "2024-01-01 00:00:02+00:00", "232.0", "0"),
    ]
    assert raw.reason == "anomaly"


async def test_an_export_is_of_one_instant_and_changes_nothing(dsn: str, tmp_path: Path) -> None:
    ours = await tenant(dsn, "ours")
    with connect(dsn) as connection:
        take_snapshot(connection)
        connection.execute("SELECT 1")
        async with await psycopg.AsyncConnection.connect(dsn) as writer:
            await store_batch(writer, batch([power(START_US + 900_000_000, [1.0])], first=7, gateway=ours.gateway))
        manifest = export_site(connection, "ours", SITE, tmp_path / "out", now_us=NOW_US, tell=lambda _: None)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM record")
        connection.rollback()
    assert manifest.files[0].rows == 2


def test_a_folder_that_cannot_be_is_told(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ConflictError, match="is not empty") as told:
        export(dsn, "default", tmp_path / "full", site="default")
    assert told.value.exit_code == Exit.CONFLICT
    with pytest.raises(SettingError, match="cannot be used"):
        export(dsn, "default", tmp_path / "full" / "x" / "y", site="default")
    with pytest.raises(NotFoundError):
        export(dsn, "default", tmp_path / "new", site="nowhere")
    assert not (tmp_path / "new").exists()


async def test_an_empty_site_gives_files_with_heads_alone(dsn: str, tmp_path: Path) -> None:
    manifest, _ = export(dsn, "default", tmp_path / "out", site="default")
    assert {file.rows for file in manifest.files} == {0}
