"""Small files by which a program tells its parent where it can be reached. A shell."""

import os
from pathlib import Path

from firmware_bridge.errors import SettingError


def announce(field: str, path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all, readable by the owner alone.

    Raises:
        SettingError: it cannot be written; names `field`.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise SettingError(field, str(path), problem, "give a file in a folder of yours") from error
