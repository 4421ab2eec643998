"""The PostgreSQL that Debian packages, run for tests as an unprivileged account, apart from the system's own."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

# The oldest server we promise to work with.
PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_USER = "smartwatts"
# Everything durable but the disk itself: the tests are about what is committed, not about power.
_SETTINGS = ("listen_addresses=", "fsync=off", "max_connections=40", "timezone=UTC", "shared_buffers=64MB")
_START_S_MAX = 60.0


@contextlib.contextmanager
def debian_postgres(*settings: str) -> Iterator[str]:
    """The DSN of a new server; it is gone with all its data when the block ends.

    `settings` are as on its command line, `name=value`, and win over those for tests.
    """
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="smartwatts-pg-"))
    try:
        os.chown(folder, account.pw_uid, account.pw_gid)
        data = folder / "data"
        _run(account, "initdb", "-D", data, f"--username={_USER}", "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = [f"-c {setting}" for setting in (*_SETTINGS, *settings, f"unix_socket_directories={folder}")]
        log = folder / "log"
        _run(account, "pg_ctl", "-D", data, "-l", log, "-w", "-o", " ".join(options), "start")
        try:
            yield f"host={folder} user={_USER} dbname=postgres"
        finally:
            _run(account, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def _account() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _run(account: pwd.struct_passwd, program: str, *arguments: object) -> None:
    subprocess.run(
        [PROGRAMS / program, *map(str, arguments)],
        user=account.pw_uid if os.geteuid() == 0 else None,
        group=account.pw_gid if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=_START_S_MAX,
    )
