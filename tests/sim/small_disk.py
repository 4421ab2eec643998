"""A small disk of its own: a real file system that a test may fill up, make read-only, and take away.

It lives in a process with a mount table of its own, which needs no rights on most machines; the test is a script.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROCESS_S_MAX = 60


def run_on_small_disk(script: str, size: str, folder: Path) -> str:
    """Run `script` with `sys.argv[1]` a fresh disk of `size`, mounted in `folder`; what it printed.

    The script may remount it: `mount -o remount,ro DISK`.
    """
    disk = folder / "disk"
    disk.mkdir()
    program = folder / "script.py"
    program.write_text(script)
    mount = f'mount -t tmpfs -o size={size} none "$1" || exit 77; exec "$2" "$3" "$1"'
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    done = subprocess.run(
        [*unshare, "sh", "-c", mount, "sh", str(disk), sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=_PROCESS_S_MAX,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets no test mount a disk")
    assert done.returncode == 0, done.stderr
    return done.stdout
