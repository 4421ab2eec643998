import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cloud_trainer.ingest.app import Ports
from cloud_trainer.ingest.settings import Settings, encode_settings
from firmware_bridge.errors import Exit

pytestmark = [pytest.mark.slow, pytest.mark.pg]

WORKER = [sys.executable, "-m", "cloud_trainer.ingest.worker"]


def test_a_process_says_where_it_listens_and_ends_when_it_is_told_to(settings: Settings) -> None:
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_settings(settings))
        process.stdin.close()
        ports = msgspec.json.decode(process.stdout.readline(), type=Ports)
        assert ports.public_url == f"http://127.0.0.1:{ports.port}"
        process.terminate()
        assert process.wait(10) == Exit.OK


def test_a_process_that_cannot_start_says_so_in_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bad = msgspec.structs.replace(settings, keys=str(tmp_path / "file"))
    done = subprocess.run(WORKER, input=encode_settings(bad), capture_output=True, check=False, timeout=60)
    assert done.returncode == Exit.BAD_SETTING
    assert done.stderr.startswith(b"smartwatts-trainer: --keys = ")
    assert done.stderr.count(b"\n") == 1
    assert not done.stdout
