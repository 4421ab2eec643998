"""Files that survive a power cut: temporary file, fsync, rename, fsync of the folder.

Everything that must be there after the power came back is written through these functions, so
that one place decides the order, and one place can be made to fail at every step.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`: afterwards, and after any power cut, it is the old or the new one.

    One writer at a time: the draft beside it has a fixed name, so that drafts of the past never pile up.

    Raises:
        OSError: nothing has changed; the disk is full, perhaps.
    """
    draft = path.with_name(f".{path.name}.draft")
    # A draft left by a power cut may have any mode or be a planted link: start from nothing.
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; what the files hold is not its matter."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_tree(folder: Path) -> None:
    """Make all files below `folder`, then all names, durable; links are not followed."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            sync_tree(entry)
        elif entry.is_file() and not entry.is_symlink():
            _sync(entry, os.O_RDONLY | os.O_NOFOLLOW)
    sync_folder(folder)


def make_folder(folder: Path) -> Path:
    """`folder`, made durably with its missing parents, for us alone; one that is there stays as it is."""
    if not folder.is_dir():
        if not folder.parent.is_dir():
            make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(folder.parent)
    return folder


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder whose content is durable already; whatever was at `target` is gone."""
    remove_tree(target)
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def remove_tree(path: Path) -> None:
    """Remove file, link or folder; what is not there is removed already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    sync_folder(path.parent)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
