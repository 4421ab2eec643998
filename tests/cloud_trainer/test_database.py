import asyncio
import signal
import sys
from pathlib import Path

import psycopg
import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.announce import announce
from cloud_trainer.database import connect, only_gateway, read_dsn
from cloud_trainer.ingest.db import store_batch
from firmware_bridge.errors import Exit, SettingError
from tests.sim.cloud_records import START_US, batch, power


def test_a_dsn_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("host=db user=me password='se cret'\n")
    values = psycopg.conninfo.conninfo_to_dict(read_dsn(f"@{tmp_path / 'dsn'}"))
    assert (values["host"], values["password"], values["connect_timeout"]) == ("db", "se cret", "5")


@pytest.mark.parametrize("given", ["nonsense", "password=secret nonsense", "@/nowhere/at/all"])
def test_what_is_no_dsn_is_told_without_repeating_it(given: str) -> None:
    with pytest.raises(SettingError, match="--dsn") as told:
        read_dsn(given)
    assert "secret" not in str(told.value)


def test_a_file_that_tells_is_whole_and_private(tmp_path: Path) -> None:
    announce("--port-file", tmp_path / "port", "1")
    announce("--port-file", tmp_path / "port", "22\n")
    assert (tmp_path / "port").read_text() == "22\n"
    assert [path.name for path in tmp_path.iterdir()] == ["port"]
    assert (tmp_path / "port").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--port-file = "):
        announce("--port-file", tmp_path / "none" / "port", "1")


@pytest.mark.slow
@pytest.mark.pg
async def test_the_only_gateway_need_not_be_named(dsn: str) -> None:
    with connect(dsn) as connection, pytest.raises(SettingError, match="nothing was ingested yet"):
        only_gateway(connection, None)
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await store_batch(writer, batch([power(START_US, [1.0])], gateway="gw-1"))
        with connect(dsn) as connection:
            assert only_gateway(connection, None) == "gw-1"
        await store_batch(writer, batch([power(START_US, [1.0])], gateway="gw-2"))
    with connect(dsn) as connection:
        assert only_gateway(connection, "gw-2") == "gw-2"
        with pytest.raises(SettingError, match="gw-1, gw-2"):
            only_gateway(connection, None)


@pytest.mark.slow
@pytest.mark.pg
async def test_an_embedded_database_can_be_looked_into_and_migrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cloud_trainer", "database", "serve", "--embedded", tmp_path / "pg"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        dsn = (await process.stdout.readline()).decode().strip()
        assert main(["database", "migrate", "--dsn", dsn]) == Exit.OK
        assert "version 1" in capsys.readouterr().out
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await process.wait() == Exit.OK
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
