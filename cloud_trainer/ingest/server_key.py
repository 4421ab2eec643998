"""The keys of the ingest itself, in one folder for the owner's eyes alone. A shell.

Each Ed25519 key is a file named after the second it was made in. A gateway is told all of them when it enrols and
knows no later one, so each is answered with the newest key that it can know. A key is replaced without a day on
which anything must happen: make another one, start the ingest anew within a day, and remove the old one once no
gateway needs it any more. The secret of the nonces lies beside them.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from cloud_trainer.ingest.nonce import SECRET_BYTES
from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.enrolment import SERVER_KEYS_MAX
from gateway.contract.signatures import Ed25519Signer

SECRET_FILE = "nonce.secret"  # noqa: S105 - the name of a file
# From then on every process of the ingest tells a new key to whoever enrols.
SETTLED_S = 86_400
# A key of ours has 120 bytes as PEM.
_FILE_BYTES_MAX = 4 * 1024
_FOLDER_MODE, _FILE_MODE, _OTHERS = 0o700, 0o600, 0o077
_KEY_NAME, _KEY_FORM = re.compile(r"\d{8}T\d{6}Z\.pem"), "%Y%m%dT%H%M%SZ.pem"


@dataclass(frozen=True, slots=True)
class ServerKey:
    """One key, and when it was made."""

    made_us: UtcUs
    signer: Ed25519Signer


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What the ingest signs with, oldest key first, and the secret of its nonces."""

    keys: tuple[ServerKey, ...]
    nonce_secret: bytes

    @classmethod
    def open(cls, folder: Path, now_us: UtcUs) -> Self:
        """What is in `folder`; folder, first key and secret are made when missing.

        Raises:
            SettingError: a file is not what it should be, others may read it, or the folder cannot be used.
        """
        with _explained(folder):
            _make_folder(folder)
            # Of two processes that start at once one makes a file, and both read it.
            with suppress(FileExistsError):
                if not _load_all(folder):
                    _write_new(folder / _name(now_us), _new_pem())
            keys = _load_all(folder)
            with suppress(FileExistsError):
                _write_new(folder / SECRET_FILE, secrets.token_bytes(SECRET_BYTES))
            secret = _read(folder / SECRET_FILE)
        if len(secret) != SECRET_BYTES:
            problem = f"does not hold {SECRET_BYTES} bytes"
            raise SettingError("--keys", str(folder / SECRET_FILE), problem, "remove it, and another one is made")
        return cls(tuple(keys), secret)

    @property
    def public(self) -> list[bytes]:
        """The public keys that a gateway is told, newest first."""
        return [key.signer.public for key in reversed(self.keys)][:SERVER_KEYS_MAX]

    @property
    def newest(self) -> Ed25519Signer:
        """The key that answers who enrols."""
        return self.keys[-1].signer

    def for_gateway(self, enrolled_us: int | None) -> Ed25519Signer:
        """The newest key that a gateway enrolled at `enrolled_us` was told of; for a stranger the oldest."""
        for key in reversed(self.keys):
            if enrolled_us is not None and key.made_us + SETTLED_S * US_PER_S <= enrolled_us:
                return key.signer
        return self.keys[0].signer


def create_key(folder: Path, now_us: UtcUs) -> ServerKey:
    """Make one more key in `folder`; the ingest takes it up with its next start.

    Raises:
        ConflictError: one was made in this very second, or there are as many as a gateway can be told.
        SettingError: the folder cannot be used, or a key in it is none.
    """
    with _explained(folder):
        _make_folder(folder)
        if len(_load_all(folder)) >= SERVER_KEYS_MAX:
            problem = f"holds {SERVER_KEYS_MAX} keys already"
            raise ConflictError("--keys", str(folder), problem, "remove the oldest that no gateway needs any more")
        path = folder / _name(now_us)
        try:
            _write_new(path, _new_pem())
        except FileExistsError as error:
            raise ConflictError("--keys", str(path), "is there already", "wait a second") from error
        return _load(path)


def load_keys(folder: Path) -> list[ServerKey]:
    """The keys in `folder`, oldest first.

    Raises:
        SettingError: a file is no key, others may read it, or the folder cannot be read.
    """
    with _explained(folder):
        return _load_all(folder)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"cannot be used ({error.strerror})"
        raise SettingError("--keys", str(folder), problem, "give a folder of yours") from error


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    _refuse_others(folder, folder.stat().st_mode)


def _load_all(folder: Path) -> list[ServerKey]:
    return [_load(path) for path in sorted(folder.iterdir()) if _KEY_NAME.fullmatch(path.name)]


def _load(path: Path) -> ServerKey:
    try:
        private = load_pem_private_key(_read(path), None)
        made = datetime.strptime(path.name, _KEY_FORM).replace(tzinfo=UTC)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingError("--keys", str(path), "is not an open private key", "bring the right file") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise SettingError("--keys", str(path), "is not an Ed25519 key", "bring the right file")
    return ServerKey(UtcUs(round(made.timestamp()) * US_PER_S), Ed25519Signer(private))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        _refuse_others(path, os.fstat(file.fileno()).st_mode)
        return file.read(_FILE_BYTES_MAX)


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there: afterwards it is whole, durable, and ours alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)  # unlike a rename, it never replaces what another process made meanwhile
    finally:
        draft.unlink()
    names = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(names)
    finally:
        os.close(names)


def _new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(now_us: UtcUs) -> str:
    return datetime.fromtimestamp(now_us // US_PER_S, UTC).strftime(_KEY_FORM)


def _refuse_others(path: Path, mode: int) -> None:
    """A key that others could read may be theirs by now."""
    if mode & _OTHERS:
        raise SettingError(
            "--keys",
            str(path),
            f"may be read by others (mode {mode & 0o777:04o})",
            f"chmod {mode & 0o700:o} it; make new keys if somebody could have read it",
        )
