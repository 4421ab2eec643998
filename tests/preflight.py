"""Say loudly what this machine lacks, before anything is downloaded. Standard library only."""

import importlib.util
import platform
import shutil
import sys


def main() -> int:
    lacks = []
    if sys.version_info[:2] != (3, 11):
        here = platform.python_version()
        lacks.append(f"Python 3.11 (this is {here}): install python3.11 or call make with PYTHON=python3.11")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        lacks.append("the venv module: on Debian, apt-get install python3-venv")
    if platform.system() != "Linux":
        lacks.append(f"Linux (this is {platform.system()}): the TFLite runtime has wheels for Linux only")
    if platform.machine() not in ("x86_64", "aarch64"):
        lacks.append(f"a 64-bit processor of the x86 or ARM family (this is {platform.machine()})")
    if shutil.which("git") is None:
        lacks.append("git: on Debian, apt-get install git")
    if lacks:
        print("This machine lacks:", *lacks, sep="\n  - ", file=sys.stderr)
    return 1 if lacks else 0


if __name__ == "__main__":
    sys.exit(main())
