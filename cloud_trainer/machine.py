"""This machine: what of ours is installed, and how much memory the work took. A shell."""

import importlib.metadata
import platform
import resource

_DISTRIBUTIONS = {"TensorFlow": ("tensorflow-cpu", "tensorflow"), "numpy": ("numpy",)}


def software() -> dict[str, str]:
    """What trains, by version; without what is not installed."""
    found = {"Python": platform.python_version()}
    for name, distributions in _DISTRIBUTIONS.items():
        versions = [version for one in distributions if (version := _version(one)) is not None]
        if versions:
            found[name] = versions[0]
    return found


def peak_bytes() -> tuple[int, int]:
    """The most memory that this process had, and the largest of the programs that it ran beside itself."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, other = (resource.getrusage(one).ru_maxrss * 1024 for one in whose)  # Linux tells kilobytes
    return own, other


def memory_in_words() -> str:
    """Peak memory so far, for people."""
    own, other = peak_bytes()
    return f"peak memory {own / 1e6:.0f} MB, and {other / 1e6:.0f} MB of the largest program beside it"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
