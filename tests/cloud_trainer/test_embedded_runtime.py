import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_trainer.embedded_runtime import lock, runtime_directory

# 107 bytes of a socket's address, less "/.s.PGSQL.5432"
PATH_BYTES_MAX = 93
# A process that dies without tidying up, as if killed.
KILLED = """
import os
from cloud_trainer.embedded_runtime import runtime_directory
with runtime_directory() as runtime:
    print(runtime, flush=True)
    os._exit(0)
"""


def test_is_private_short_and_gone_at_the_end() -> None:
    with runtime_directory() as runtime:
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert len(os.fsencode(runtime)) <= PATH_BYTES_MAX
        (runtime / "socket").touch()
    assert not runtime.exists()


def test_what_a_killed_process_left_goes_with_the_next_start() -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=True)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with runtime_directory():
        assert not left.exists()


def test_what_another_start_uses_is_left_alone() -> None:
    with runtime_directory() as one, runtime_directory() as other:
        assert one.is_dir()
        assert other.is_dir()


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    held = lock(tmp_path / "lock", os.O_CREAT)
    with pytest.raises(BlockingIOError):
        lock(tmp_path / "lock")
    os.close(held)
    os.close(lock(tmp_path / "lock"))


def test_a_link_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "lock").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="symbolic links"):
        lock(tmp_path / "lock", os.O_CREAT)
