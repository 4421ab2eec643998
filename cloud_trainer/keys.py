"""The signing keys of a bundle repository: Ed25519, one file each, for the owner's eyes alone.

Three root keys of which any two sign, so that one may be lost; one key for each other role. The
root keys belong apart from each other and off the machine that publishes: they are only needed to
make a repository and to renew its root.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from firmware_bridge.errors import ConflictError, SettingError

ROOT_KEYS = ("root-1", "root-2", "root-3")
ROOT_THRESHOLD = 2
TARGETS_KEY, SNAPSHOT_KEY, TIMESTAMP_KEY = "targets", "snapshot", "timestamp"
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_OTHERS = 0o077


def channel_key(channel: str) -> str:
    """The name of the key that signs what is published on `channel`."""
    return f"channel-{channel}"


def create_keys(folder: Path, channels: Iterable[str] = ("stable",)) -> dict[str, str]:
    """Make all keys in `folder`; the identifier of each by its name.

    Raises:
        ConflictError: there are keys already.
        SettingError: others may look into the folder, or it cannot be used.
    """
    names = [*ROOT_KEYS, TARGETS_KEY, SNAPSHOT_KEY, TIMESTAMP_KEY, *map(channel_key, channels)]
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        _refuse_others("folder", folder, folder.stat().st_mode)
        for name in names:
            if (path := _path(folder, name)).exists():
                raise ConflictError("folder", str(folder), f"holds {path.name} already", "give an empty folder")
        return {name: _create_key(_path(folder, name)) for name in names}
    except OSError as error:
        raise SettingError("folder", str(folder), f"cannot be used ({error.strerror})", "give another one") from error


def ensure_channel_key(folder: Path, channel: str) -> None:
    """Make the key of `channel` where it is missing, beside keys that may make the channel known.

    Raises:
        SettingError: others may look into the folder, or it cannot be used.
    """
    name = channel_key(channel)
    if has_key(folder, name) or not has_key(folder, TARGETS_KEY):
        return  # what is missing is told by whoever needs it
    try:
        _refuse_others("keys", folder, folder.stat().st_mode)
        _create_key(_path(folder, name))
    except OSError as error:
        raise SettingError("keys", str(folder), f"cannot be used ({error.strerror})", "give another one") from error


def has_key(folder: Path, name: str) -> bool:
    """Whether the key `name` is at hand."""
    return _path(folder, name).exists()


def load_signer(folder: Path, name: str) -> CryptoSigner:
    """The key `name` of `folder`, ready to sign.

    Raises:
        SettingError: it is missing, not a private key, or others may read it.
    """
    path = _path(folder, name)
    try:
        with path.open("rb") as file:
            _refuse_others("keys", path, os.fstat(file.fileno()).st_mode)
            pem = file.read()
    except OSError as error:
        next_step = "bring the key here, or make keys with `smartwatts-trainer keys create`"
        raise SettingError("keys", str(path), f"cannot be read ({error.strerror})", next_step) from error
    try:
        return CryptoSigner(load_pem_private_key(pem, None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingError("keys", str(path), "is not an open private key", "bring the right file") from error


def _create_key(path: Path) -> str:
    signer = CryptoSigner.generate_ed25519()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(signer.private_bytes)
        file.flush()
        os.fsync(file.fileno())
    return str(signer.public_key.keyid)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.pem"


def _refuse_others(field: str, path: Path, mode: int) -> None:
    """A key that others could read may be theirs by now."""
    if mode & _OTHERS:
        owner_only = f"{mode & 0o700:o}"
        raise SettingError(
            field,
            str(path),
            f"may be read by others (mode {mode & 0o777:04o})",
            f"chmod {owner_only} it; make new keys if somebody could have read it",
        )
