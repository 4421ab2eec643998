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


def peak_bytes() -> int:
    """The most memory that this process had so far, or any of the programs that it ran beside itself."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in whose) * 1024  # Linux tells kilobytes


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
