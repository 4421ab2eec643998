import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.database import connect
from firmware_bridge.errors import Exit
from gateway.contract.batches import decode_acknowledgement, encode_batch
from tests.sim.cloud_records import batch, one_of_each

pytestmark = [pytest.mark.slow, pytest.mark.pg]

HEADERS = {"Content-Type": "application/msgpack"}
BODY = encode_batch(batch(one_of_each()))


async def test_runs_embedded_until_sigterm_and_keeps_what_it_got(tmp_path: Path) -> None:
    for stored in (6, 0):
        async with running(tmp_path) as process:
            port = (tmp_path / "port").read_text().strip()
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://127.0.0.1:{port}/v1/batches", data=BODY, headers=HEADERS) as response,
            ):
                assert decode_acknowledgement(await response.read()).stored == stored
            with connect(f"@{tmp_path / 'dsn'}") as connection:
                assert connection.execute("SELECT count(*) FROM record").fetchone() == (6,)
            assert (tmp_path / "dsn").stat().st_mode & 0o777 == 0o600
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert await process.wait() == Exit.OK


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cloud_trainer", "ingest", "--embedded", folder / "x y", "--port", "0"),
        *("--port-file", folder / "port", "--dsn-file", folder / "dsn"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert b"listens on" in await process.stderr.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("arguments", [[], ["--dsn", "dbname=x", "--embedded", "y"], ["--dsn", "nonsense"]])
def test_a_wrong_choice_of_database_ends_in_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", *arguments]) == Exit.BAD_SETTING
    assert capsys.readouterr().err.startswith("smartwatts-trainer: --dsn ")


def test_a_database_that_is_away_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dsn").write_text(f"host={tmp_path} user=x password=secret\n")
    assert main(["ingest", "--dsn", f"@{tmp_path / 'dsn'}", "--port", "0"]) == Exit.UNREACHABLE
    told = capsys.readouterr().err
    assert "the database cannot be used" in told
    assert "secret" not in told
