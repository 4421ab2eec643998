"""A private key in a file: Ed25519 as PEM, for the eyes of its owner alone. A shell."""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from firmware_bridge.errors import SettingError
from gateway.contract.signatures import Ed25519Signer
from gateway.shell import durable

# A key of ours has 120 bytes, and what the cloud said of us is below 4 kB; more is some other file.
FILE_BYTES_MAX = 16 * 1024
_OTHERS = 0o077


def load_key(path: Path) -> Ed25519Signer | None:
    """The key in the file at `path`; None when there is none.

    Raises:
        SettingError: it is something else, or others may read it: then it may be theirs by now.
    """
    pem = read_own_file(path, is_secret=True)
    if pem is None:
        return None
    try:
        private = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise wrong_file(path, "is not an open private key", "bring the right file back") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise wrong_file(path, "is not an Ed25519 key", "bring the right file back")
    return Ed25519Signer(private)


def load_or_make_key(path: Path) -> Ed25519Signer:
    """The key in the file at `path`, made when there is none; it is on the disk before anybody hears of it.

    One writer at a time: whoever calls holds the lock of the folder.

    Raises:
        SettingError: what is there is no key of ours, or nothing can be written there.
    """
    if (there := load_key(path)) is not None:
        return there
    private = Ed25519PrivateKey.generate()
    try:
        durable.write_atomically(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return Ed25519Signer(private)


def read_own_file(path: Path, *, is_secret: bool) -> bytes | None:
    """What the file holds; None when there is none. A secret that others may read is refused.

    Raises:
        SettingError: it cannot be read, is no plain file, or larger than any of ours.
    """
    try:
        # links are not followed, and a pipe in its place is not waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse(path, os.fstat(descriptor).st_mode, is_secret=is_secret)
            data = os.read(descriptor, FILE_BYTES_MAX + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise wrong_file(path, problem, "run this as the user of the gateway") from error
    if len(data) > FILE_BYTES_MAX:
        raise wrong_file(path, f"is larger than {FILE_BYTES_MAX} bytes", "bring the right file back")
    return data


def wrong_file(path: Path, problem: str, next_step: str) -> SettingError:
    """A file of the identity that is not what it should be."""
    return SettingError("identity", str(path), problem, next_step)


def unwritable(folder: Path, error: OSError) -> SettingError:
    """The folder of the identity does not take a file."""
    next_step = "make room, or run this as the user of the gateway"
    return SettingError("store.folder", str(folder), f"cannot be written ({error.strerror})", next_step)


def _refuse(path: Path, mode: int, *, is_secret: bool) -> None:
    if not stat.S_ISREG(mode):
        raise wrong_file(path, "is no plain file", "remove it")
    if is_secret and mode & _OTHERS:
        raise wrong_file(
            path,
            f"may be read by others (mode {mode & 0o777:04o})",
            "chmod 600 it; enroll with --new-key if somebody could have read it",
        )
