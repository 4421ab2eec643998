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
from tests.sim.cloud_records import batch, one_of_each
from tests.sim.signed_sender import Sender, know

pytestmark = [pytest.mark.slow, pytest.mark.pg]

BATCH = batch(one_of_each())


async def test_runs_embedded_until_sigterm_and_keeps_what_it_got(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        sender = None
        for processes, stored in (("1", 6), ("2", 0)):
            async with running(tmp_path, "--processes", processes) as process:
                url = f"http://127.0.0.1:{(tmp_path / 'port').read_text().strip()}"
                sender = sender or know(
                    (tmp_path / "dsn").read_text(), Sender(session, url, tmp_path / "x y" / "keys")
                )
                sender.url = url
                assert (await sender.send(BATCH)).acknowledgement.stored == stored
                with connect(f"@{tmp_path / 'dsn'}") as connection:
                    assert connection.execute("SELECT count(*) FROM record").fetchone() == (6,)
                assert (tmp_path / "dsn").stat().st_mode & 0o777 == 0o600
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(10):
                    assert await process.wait() == Exit.OK


@asynccontextmanager
async def running(folder: Path, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cloud_trainer", "ingest", "--embedded", folder / "x y", "--port", "0"),
        *("--port-file", folder / "port", "--dsn-file", folder / "dsn", *more),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        while (line := await process.stderr.readline()) and b"signs with key" not in line:
            pass
        assert line, "it ended"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("arguments", [[], ["--dsn", "dbname=x", "--embedded", "y"], ["--dsn", "nonsense"]])
def test_a_wrong_choice_of_database_ends_in_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["ingest", "--keys", str(tmp_path / "keys"), *arguments]) == Exit.BAD_SETTING
    assert capsys.readouterr().err.startswith("smartwatts-trainer: --dsn ")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ([], "--keys"),
        (["--keys", "k", "--processes", "0"], "--processes"),
        (["--keys", "k", "--processes", "65"], "--processes"),
        (["--keys", "k", "--host", "0.0.0.0"], "--host"),
        (["--keys", "k", "--tls-cert", "c"], "--tls-cert and --tls-key"),
        (["--keys", "k", "--public-url", "x"], "--public-url"),
    ],
)
def test_what_cannot_work_is_told_before_anything_starts(
    arguments: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "--dsn", "dbname=x", *arguments]) == Exit.BAD_SETTING
    assert capsys.readouterr().err.startswith(f"smartwatts-trainer: {field} = ")


def test_a_database_that_is_away_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dsn").write_text(f"host={tmp_path} user=x password=secret\n")
    arguments = ["--dsn", f"@{tmp_path / 'dsn'}", "--port", "0", "--keys", str(tmp_path / "keys")]
    assert main(["ingest", *arguments]) == Exit.UNREACHABLE
    told = capsys.readouterr().err
    assert "the database cannot be used" in told
    assert "secret" not in told
