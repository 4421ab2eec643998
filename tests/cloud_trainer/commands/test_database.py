import asyncio
import signal
import sys
from pathlib import Path

import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.ingest.migrate import schema_files
from firmware_bridge.errors import Exit


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
        assert f"version {max(schema_files())}" in capsys.readouterr().out
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await process.wait() == Exit.OK
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
