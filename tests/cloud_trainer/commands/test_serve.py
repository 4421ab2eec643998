import select
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_tells_where_it_listens_and_ends_cleanly(tmp_path, number):
    (tmp_path / "repository" / "metadata").mkdir(parents=True)
    (tmp_path / "repository" / "metadata" / "timestamp.json").write_bytes(b"{}")
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "cloud_trainer", "serve", "--repository", str(tmp_path / "repository")]
    with subprocess.Popen([*command, "--port-file", str(port_file)], cwd=ROOT, stderr=subprocess.PIPE) as child:
        try:
            while not port_file.exists():
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(0.05)
            address = f"http://127.0.0.1:{int(port_file.read_text())}"
            assert child.stderr is not None
            assert select.select([child.stderr], [], [], 10)[0]
            assert child.stderr.readline().decode() == f"smartwatts-trainer: serve listens on {address}\n"
            with urllib.request.urlopen(f"{address}/metadata/timestamp.json", timeout=10) as response:
                assert response.read() == b"{}"
            child.send_signal(number)
            assert child.wait(5) == 0
        finally:
            child.kill()
