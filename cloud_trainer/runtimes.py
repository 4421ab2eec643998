"""The interpreters that prove a bundle: there are two runtimes, and a model must run in both. A shell.

One interpreter has one of them. Ours is the first; `make setup-litert` makes an environment with the other one
beside ours.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from firmware_bridge.errors import SettingError

_OTHER = Path(".venv-litert", "bin", "python")
# An interpreter starts in a tenth of a second, and reads some metadata.
_ASK_S_MAX = 30.0
_QUESTION = """
import importlib.metadata, json
versions = {}
for name in ("tflite-runtime", "ai-edge-litert", "numpy"):
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""
_RUNTIMES = ("tflite-runtime", "ai-edge-litert")


class Runtime(msgspec.Struct, frozen=True):
    """One interpreter: the runtime that a gateway in it runs models with, or what is the trouble."""

    python: str
    name: str | None
    version: str | None = None
    numpy: str | None = None
    problem: str = ""


def pythons(given: Sequence[str] = ()) -> list[str]:
    """Our own interpreter, and `given` ones, or else the one that lies beside our environment."""
    beside = Path(sys.prefix).parent / _OTHER
    others = [*given] if given else [str(beside)] if beside.exists() else []
    return [sys.executable, *others]


def runtime_of(python: str) -> Runtime:
    """What is installed there."""
    try:
        told = subprocess.run([python, "-c", _QUESTION], capture_output=True, timeout=_ASK_S_MAX, check=True)
        versions = msgspec.json.decode(told.stdout, type=dict[str, str])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        return Runtime(python, None, problem=f"it cannot be asked: {type(error).__name__}")
    # As the gateway's interpreter chooses.
    name = next((one for one in _RUNTIMES if one in versions), None)
    if name is None:
        return Runtime(python, None, numpy=versions.get("numpy"), problem="it has no runtime of TensorFlow Lite")
    return Runtime(python, name, versions[name], versions.get("numpy"))


def require_usable(interpreters: Sequence[str]) -> list[Runtime]:
    """What each has.

    Raises:
        SettingError: one has no runtime, or cannot be started.
    """
    found = [runtime_of(one) for one in interpreters]
    for one in found:
        if one.name is None:
            raise SettingError("--runtime", one.python, one.problem, "name a Python with the gateway and a runtime")
    return found
