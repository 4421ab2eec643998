"""Builds parity_notes.c and says with which environment a program under test is to be started.

The library is made anew in a temporary folder for every run and is never kept.
"""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("parity_notes.c")
# A second on a slow machine.
_BUILD_S_MAX = 60.0


class NoCompilerError(Exception):
    """This machine has no C compiler; what needs parity on a pseudo-terminal is skipped."""


def build(folder: Path) -> Path:
    """The library, built in `folder`.

    Raises:
        NoCompilerError: there is no `cc`.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("no C compiler `cc` on this machine: parity on a pseudo-terminal cannot be simulated")
    library = folder / "parity_notes.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True, timeout=_BUILD_S_MAX)
    return library


def environment(library: Path, notes: Path) -> dict[str, str]:
    """What a program needs in its environment; the simulated line reads the same folder `notes`."""
    notes.mkdir(parents=True, exist_ok=True)
    return {"LD_PRELOAD": str(library), "PARITY_NOTES": str(notes)}
