"""The files of a source tree, for the laws that are checked on them."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("firmware_bridge", "gateway", "cloud_trainer", "provisioning")
# Made by tools, never committed.
_MADE = {".git", ".demo", "__pycache__", "build", "dist", "node_modules"}


def is_made(name: str) -> bool:
    """Whether a file or folder of this name is made by a tool."""
    return name in _MADE or name.startswith(".venv") or name.endswith(("_cache", ".egg-info", ".hypothesis"))


def files(root: Path, *folders: str, suffix: str = "") -> Iterator[Path]:
    """Every file with this suffix in these folders of `root`, or in all of it, sorted."""
    for top in [root / folder for folder in folders] or [root]:
        for folder, names, found in os.walk(top):
            names[:] = sorted(name for name in names if not is_made(name))
            yield from (Path(folder, name) for name in sorted(found) if name.endswith(suffix) and not is_made(name))


def place(root: Path, path: Path) -> str:
    """The path as it is named in laws and complaints: relative, with slashes."""
    return path.relative_to(root).as_posix()


def plant(root: Path, name: str, text: str = "") -> Path:
    """Write a file of a planted tree, with its folders."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
