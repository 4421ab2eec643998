"""Who this gateway is: its private key, and what the cloud said when it took it in. A shell.

The files lie in the folder of the store. `identity.key` is the key; `identity.json` says where the gateway belongs
and by which keys it knows the cloud. During a change of key `identity.next.key` lies beside them, and
`identity.new.key` while a gateway is enrolled anew. Each step is one replaced file, so whatever a power cut leaves
is a state from which everything goes on: a key is never lost before the cloud takes the other one.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.batches import GatewayId
from gateway.contract.enrolment import Enrolled, Rotated, ServerKeys, decode_key
from gateway.contract.records import UNDECODABLE, Text
from gateway.contract.signatures import Ed25519Signer, key_id
from gateway.shell import durable
from gateway.shell.key_file import load_key, load_or_make_key, read_own_file, unwritable, wrong_file

KEY_NAME, NEXT_KEY_NAME, NEW_KEY_NAME = "identity.key", "identity.next.key", "identity.new.key"
IDENTITY_NAME, LOCK_NAME = "identity.json", "identity.lock"
# One start of this program: the cloud sees by it that two machines use one key.
INSTANCE = secrets.token_hex(8)

Stamp = tuple[tuple[int, int] | None, ...]


class IdentityFile(msgspec.Struct, frozen=True):
    """What `identity.json` says. `next_key_id` is the next key once the cloud knows it."""

    gateway: GatewayId
    organisation: Text
    site: Text
    url: str
    server_keys: ServerKeys
    enrolled_us: UtcUs
    next_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A gateway that is enrolled: `signers` are its keys in the order in which they are tried."""

    file: IdentityFile
    signers: tuple[Ed25519Signer, ...]
    server_keys: Mapping[str, bytes]
    # the key in `identity.next.key`, whether the cloud knows it or not
    next_key_id: str | None


class IdentityFolder:
    """The files of the identity of one gateway."""

    def __init__(self, folder: Path, gateway_id: str) -> None:
        """`gateway_id` is the name in the configuration: an identity of another name is refused."""
        self._folder = folder
        self._gateway_id = gateway_id

    @property
    def stamp(self) -> Stamp:
        """Differs when a file was written since: a command changed the identity beside a running gateway."""
        return tuple(_stamp(self._folder / name) for name in (KEY_NAME, NEXT_KEY_NAME, IDENTITY_NAME))

    def load(self) -> Identity | None:
        """The identity; None while the gateway is not enrolled.

        Raises:
            SettingError: a file is damaged, others may read the key, or all of it belongs to another gateway.
        """
        file = self._file()
        if file is None:
            return None
        if file.gateway != self._gateway_id:
            raise SettingError(
                "site.gateway_id",
                repr(self._gateway_id),
                f"is not the name under which this gateway was enrolled, {file.gateway!r}",
                "write that name, or remove identity.json and identity.key and enroll with a new code",
            )
        key, following = self._load(KEY_NAME), self._load(NEXT_KEY_NAME)
        if key is None:
            raise wrong_file(self._folder / KEY_NAME, "is missing", "bring it back, or enroll with a new code")
        signers = (key,) if following is None else (key, following)
        if following is not None and following.key_id == file.next_key_id:
            signers = (following, key)  # both sides know it: the first use makes it the gateway's own
        return Identity(file, signers, _by_id(file.server_keys), None if following is None else following.key_id)

    @property
    def organisation(self) -> str | None:
        """The organisation that it was enrolled into; None while it is not enrolled.

        Raises:
            SettingError: the file that says it is damaged.
        """
        file = self._file()
        return None if file is None else file.organisation

    @property
    def key_id(self) -> str | None:
        """The id of the key that is there, whether the cloud knows it or not.

        Raises:
            SettingError: it cannot be used.
        """
        key = self._load(KEY_NAME)
        return None if key is None else key.key_id

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the identity meanwhile; makes the folder when it is missing.

        Raises:
            ConflictError: somebody does.
            SettingError: the folder cannot be used, or not by this user.
        """
        try:
            durable.make_folder(self._folder)
            self._refuse_root()
            descriptor = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            problem = "is being changed by another command"
            raise ConflictError("store.folder", str(self._folder), problem, "wait until that is done") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def enrolment_key(self, *, anew: bool) -> Ed25519Signer:
        """The key to enrol with, made when missing; with `anew` another one than that of the identity in use.

        Asked again before `take_in` it is the same one: a claim whose answer was lost works once more.

        Raises:
            SettingError: the folder cannot be used, or a file in it is no key of ours.
        """
        return load_or_make_key(self._folder / (NEW_KEY_NAME if anew else KEY_NAME))

    def take_in(self, enrolled: Enrolled, url: str, now_us: UtcUs, *, anew: bool) -> None:
        """Keep what the cloud answered to an enrolment.

        Raises:
            SettingError: it cannot be written; the same command can be given again.
        """
        file = IdentityFile(enrolled.gateway, enrolled.organisation, enrolled.site, url, enrolled.server_keys, now_us)
        self._write(file)
        if anew:
            try:
                (self._folder / NEXT_KEY_NAME).unlink(missing_ok=True)
                self._adopt(NEW_KEY_NAME)
            except OSError as error:
                raise unwritable(self._folder, error) from error

    def next_key(self) -> Ed25519Signer:
        """The key of the rotation that is under way, or of a new one."""
        return load_or_make_key(self._folder / NEXT_KEY_NAME)

    def confirm_next(self, rotated: Rotated) -> None:
        """The cloud knows the next key: from now on it is used first.

        Raises:
            SettingError: it cannot be written; the rotation can be asked for again.
        """
        self._rewrite(next_key_id=rotated.key_id, server_keys=rotated.server_keys)

    def promote(self, used: str) -> None:
        """The cloud took a request by the key `used`: if that is the next one, it is the key from now on.

        Raises:
            ConflictError: a command is changing the identity; the next request tries again.
            SettingError: it cannot be written; the next request tries again.
        """
        with self.locked():
            following = self._load(NEXT_KEY_NAME)
            if following is None or following.key_id != used:
                return
            try:
                self._adopt(NEXT_KEY_NAME)
            except OSError as error:
                raise unwritable(self._folder, error) from error
            self._rewrite(next_key_id=None)

    def _load(self, name: str) -> Ed25519Signer | None:
        return load_key(self._folder / name)

    def _adopt(self, name: str) -> None:
        """One rename: before it the old key is there, after it the new one."""
        (self._folder / name).replace(self._folder / KEY_NAME)
        durable.sync_folder(self._folder)

    def _rewrite(self, **changes: object) -> None:
        file = self._file()
        assert file is not None, "loaded before"
        self._write(msgspec.structs.replace(file, **changes))

    def _write(self, file: IdentityFile) -> None:
        try:
            durable.write_atomically(self._folder / IDENTITY_NAME, msgspec.json.encode(file))
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _file(self) -> IdentityFile | None:
        path = self._folder / IDENTITY_NAME
        data = read_own_file(path, is_secret=False)
        try:
            return None if data is None else decode_identity(data)
        except ValueError as error:
            raise wrong_file(path, f"is damaged ({error})", "enroll again with the same code") from error

    def _refuse_root(self) -> None:
        """What root writes here the gateway cannot read later."""
        owner = self._folder.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            raise SettingError(
                "store.folder", str(self._folder), "belongs to another user", f"sudo -u '#{owner}' the same command"
            )


def decode_identity(data: bytes) -> IdentityFile:
    """What `data` says of an identity.

    Raises:
        ValueError: it is not what we write.
    """
    try:
        file = msgspec.json.decode(data, type=IdentityFile)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from error
    _by_id(file.server_keys)
    return file


def _by_id(server_keys: list[str]) -> dict[str, bytes]:
    publics = [decode_key(text) for text in server_keys]
    return {key_id(public): public for public in publics}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
