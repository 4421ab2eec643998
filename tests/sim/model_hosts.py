"""The model hosts that a process has started, found as `ps` finds them."""

import os
from pathlib import Path


def model_hosts(parent: int | None = None) -> list[int]:
    """Process ids of the living model hosts of `parent`, by default of this process."""
    tasks = Path(f"/proc/{parent or os.getpid()}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in _words(task)]
    return [pid for pid in children if "gateway.shell.model_host" in _command(pid)]


def bundle_of(host: int) -> str:
    """The folder of the bundle in the model host `host`."""
    return _command(host)[-1]


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except FileNotFoundError:
        return []  # ended meanwhile


def _words(task: Path) -> list[str]:
    """Its children; none of a thread that ended since it was listed."""
    try:
        return task.read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
