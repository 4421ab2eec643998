"""A bundle becomes a release: checked, numbered, signed, and written so that no reader sees half of it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace
from tuf.api.metadata import TargetFile

from cloud_trainer.repository import FileWrite, check_channel, open_repository
from firmware_bridge.errors import ConflictError, NotFoundError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.manifest import (
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    BundleManifest,
    ManifestError,
    bundle_digest,
    check_file,
    decode_golden,
    decode_manifest,
    encode_manifest,
)
from gateway.contract.repository import METADATA_FOLDER, TARGETS_FOLDER, file_target, manifest_target, served_name

_HASHES = ["sha256"]


@dataclass(frozen=True, slots=True)
class Publication:
    """A release, ready to be written in the order of `writes`. `root` is the file that gateways trust."""

    channel: str
    release: int
    digest: str
    root: str
    writes: list[FileWrite]
    warnings: list[str]


def plan(repository: Path, keys: Path, bundle: Path, channel: str, release: int, now_us: UtcUs) -> Publication:
    """What publishing `bundle` as `release` of `channel` would write; nothing is written.

    Raises:
        ConflictError: the release is not above the published one.
        NotFoundError: there is no bundle in the folder.
        SettingError: the bundle does not fit together, a key is missing or readable by others, or the
            repository is damaged.
    """
    check_channel(channel)
    manifest, files = _read_bundle(bundle)
    opened = open_repository(repository, keys, now_us)
    published = opened.released(channel)
    if release <= published:
        raise ConflictError(
            "release", str(release), f"is not above {published}, published on {channel}", f"use {published + 1}"
        )
    manifest_bytes = encode_manifest(replace(manifest, release=release, channel=channel))
    offered = {manifest_target(channel): manifest_bytes}
    for name, data in files.items():
        offered[file_target(channel, name, manifest.files[name].sha256)] = data
    targets = [TargetFile.from_data(path, data, _HASHES) for path, data in offered.items()]
    targets[0].unrecognized_fields["custom"] = {"release": release}
    opened.publish(channel, targets)
    writes = [FileWrite(served_path(target), offered[target.path]) for target in targets] + opened.writes
    root = f"{METADATA_FOLDER}/{opened.root.version}.root.json"
    return Publication(channel, release, bundle_digest(manifest_bytes), root, writes, opened.warnings)


def write(repository: Path, publication: Publication) -> None:
    """Write the files of `publication` below `repository`, one after the other, each whole or not at all.

    Raises:
        SettingError: the folder cannot be written; readers still see the release before.
    """
    try:
        for file in publication.writes:
            _write_file(repository / file.path, file.data)
    except OSError as error:
        raise SettingError(
            "repository", str(repository), f"cannot be written ({error.strerror})", "make room, then publish again"
        ) from error


def _read_bundle(bundle: Path) -> tuple[BundleManifest, dict[str, bytes]]:
    """The manifest and the files of a bundle, checked as a gateway will check them."""
    try:
        manifest = decode_manifest(_read(bundle / MANIFEST_NAME, MANIFEST_BYTES_MAX))
        files = {}
        for name, entry in sorted(manifest.files.items()):
            files[name] = _read(bundle / name, entry.size)
            check_file(name, files[name], entry)
        for golden in manifest.golden:
            decode_golden(files[golden.file])
    except OSError as error:
        name = Path(str(error.filename)).name
        kind = NotFoundError if name == MANIFEST_NAME else SettingError
        raise kind("bundle", str(bundle), f"{name} cannot be read ({error.strerror})", "give a bundle") from error
    except ManifestError as error:
        raise SettingError(
            "bundle", str(bundle), str(error), "make it again with `smartwatts-trainer train`"
        ) from error
    return manifest, files


def _read(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        return file.read(bytes_max + 1)


def served_path(target: TargetFile) -> str:
    """Where the file of `target` lies below the repository."""
    folder, _, name = target.path.rpartition("/")
    return f"{TARGETS_FOLDER}/{folder}/{served_name(target.hashes['sha256'], name)}"


def _write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, durably; a file that is the same already stays."""
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
