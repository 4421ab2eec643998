"""A model bundle read from disk and proven: only what this module returns may be loaded. A shell.

Each file is read once, checked, and used from memory, so nothing can be put in its place between
the check and the use.
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.contract.manifest import (
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    BundleManifest,
    ManifestError,
    bundle_digest,
    check_file,
    decode_manifest,
)


class BundleMissingError(Exception):
    """There is no bundle where one was looked for."""


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose manifest fits this gateway and whose files are those of the manifest."""

    digest: str
    manifest: BundleManifest
    files: dict[str, bytes]


def read_bundle(folder: Path) -> VerifiedBundle:
    """The bundle in `folder`, proven.

    Raises:
        BundleMissingError: no folder, or no manifest in it.
        ManifestError: the manifest or a file is not what it must be; names which and why.
    """
    try:
        manifest_bytes = _read(folder / MANIFEST_NAME, MANIFEST_BYTES_MAX)
    except OSError as error:
        raise BundleMissingError(f"{folder} holds no readable {MANIFEST_NAME} ({error.strerror})") from error
    manifest = decode_manifest(manifest_bytes)
    files = {}
    for name, entry in sorted(manifest.files.items()):
        try:
            files[name] = _read(folder / name, entry.size)
        except OSError as error:
            raise ManifestError(f"{name} cannot be read ({error.strerror})") from error
        check_file(name, files[name], entry)
    return VerifiedBundle(bundle_digest(manifest_bytes), manifest, files)


def _read(path: Path, bytes_max: int) -> bytes:
    """At most one byte more than expected: enough to tell that a file is too long."""
    with path.open("rb") as file:
        return file.read(bytes_max + 1)
