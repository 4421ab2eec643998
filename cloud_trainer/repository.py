"""The signed metadata of a bundle repository: loaded with every signature checked, changed, signed anew.

Nothing is written here: a change is a list of files in the order in which they must reach the
server, `timestamp.json` last. Whoever reads in between finds the old state or the new one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from cloud_trainer import keys
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.repository import METADATA_FOLDER, channel_patterns

# For one person and a nightly job. The life of the timestamp is the time in which a withheld update
# is noticed; a gateway that is offline for longer only waits, it keeps what it runs.
ROOT_DAYS = 730
TARGETS_DAYS = 365
CHANNEL_DAYS = 180
SNAPSHOT_DAYS = 30
TIMESTAMP_DAYS = 14

_HASHES = ["sha256"]
# As long as a setting's name, and what a channel of one organisation alone adds to it.
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,48}")
_ROLES = frozenset({"root", "targets", "snapshot", "timestamp"})

# python-tuf's payloads are generic over exactly these.
T = TypeVar("T", Root, Timestamp, Snapshot, Targets)
Delegator = Root | Targets


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file to be written: its path below the repository, and its bytes."""

    path: str
    data: bytes


@dataclass
class Repository:
    """The current metadata, and the files that a change has produced so far."""

    folder: Path
    keys: Path
    now: datetime
    root: Root
    targets: Targets
    snapshot: Snapshot
    timestamp: Timestamp
    writes: list[FileWrite] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def offered(self, channel: str) -> Mapping[str, TargetFile]:
        """What `channel` offers, by target path; nothing before its first release."""
        meta = self.snapshot.meta.get(f"{channel}.json")
        if meta is None:
            return {}
        return _load(self.folder, f"{meta.version}.{channel}", Targets, self.targets, channel).targets

    def released(self, channel: str) -> int:
        """The release published on `channel`; 0 before the first one."""
        releases = [target.custom["release"] for target in self.offered(channel).values() if target.custom]
        return max(releases, default=0)

    def publish(self, channel: str, targets: Iterable[TargetFile]) -> None:
        """Make `targets` all that `channel` offers, and sign what follows from it."""
        self._renew_root()
        self._renew_targets(channel)
        previous = self.snapshot.meta.get(f"{channel}.json")
        role = Targets(
            version=previous.version + 1 if previous else 1,
            expires=self._expiry(CHANNEL_DAYS),
            targets={target.path: target for target in targets},
        )
        self._sign(role, [keys.channel_key(channel)], channel, self.targets)
        self.snapshot.version += 1
        self.snapshot.expires = self._expiry(SNAPSHOT_DAYS)
        data = self._sign(self.snapshot, [keys.SNAPSHOT_KEY])
        self.timestamp.version += 1
        self.timestamp.expires = self._expiry(TIMESTAMP_DAYS)
        self.timestamp.snapshot_meta = MetaFile.from_data(self.snapshot.version, data, _HASHES)
        self._sign(self.timestamp, [keys.TIMESTAMP_KEY])

    def _renew_root(self) -> None:
        """Sign the root when it is new or past the half of its life, with the root keys at hand."""
        if self.root.version and not self._is_due(self.root, ROOT_DAYS):
            return
        at_hand = [name for name in keys.ROOT_KEYS if keys.has_key(self.keys, name)]
        if self.root.version and len(at_hand) < keys.ROOT_THRESHOLD:
            self._warn("root", self.root, f"{keys.ROOT_THRESHOLD} root keys")
            return
        self.root.version += 1
        self.root.expires = self._expiry(ROOT_DAYS)
        self._sign(self.root, at_hand or [*keys.ROOT_KEYS])

    def _renew_targets(self, channel: str) -> None:
        """Sign the delegations when `channel` is new or they are past the half of their life."""
        assert self.targets.delegations is not None
        is_new = channel not in (self.targets.delegations.roles or {})
        if not is_new and not self._is_due(self.targets, TARGETS_DAYS):
            return
        if not is_new and not keys.has_key(self.keys, keys.TARGETS_KEY):
            self._warn("targets", self.targets, "the targets key")
            return
        if is_new:
            self._delegate(channel)
        self.targets.version += 1
        self.targets.expires = self._expiry(TARGETS_DAYS)
        self._sign(self.targets, [keys.TARGETS_KEY])

    def _delegate(self, channel: str) -> None:
        assert self.targets.delegations is not None
        assert self.targets.delegations.roles is not None
        signer = keys.load_signer(self.keys, keys.channel_key(channel))
        role = DelegatedRole(channel, [], threshold=1, terminating=True, paths=channel_patterns(channel))
        self.targets.delegations.roles[channel] = role
        self.targets.add_key(signer.public_key, channel)

    def _sign(self, signed: T, names: list[str], role: str | None = None, by: Delegator | None = None) -> bytes:
        """Sign and queue; the snapshot learns of every role but itself and the timestamp."""
        metadata = Metadata(signed)
        for name in names:
            metadata.sign(keys.load_signer(self.keys, name), append=True)
        role = role or signed.type
        try:
            (by or self.root).verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError as error:
            raise SettingError(
                "keys", str(self.keys), f"do not sign for this repository: {error}", "give the keys it was made with"
            ) from error
        data = metadata.to_bytes()
        if isinstance(signed, Targets):
            self.snapshot.meta[f"{role}.json"] = MetaFile.from_data(signed.version, data, _HASHES)
        prefix = "" if isinstance(signed, Timestamp) else f"{signed.version}."
        self.writes.append(FileWrite(f"{METADATA_FOLDER}/{prefix}{role}.json", data))
        return data

    def _is_due(self, signed: Signed, life_days: int) -> bool:
        return signed.expires < self._expiry(life_days // 2)

    def _expiry(self, days: int) -> datetime:
        return self.now + timedelta(days=days)

    def _warn(self, role: str, signed: Signed, wanted: str) -> None:
        self.warnings.append(f"{role}.json expires on {signed.expires:%Y-%m-%d}: publish once with {wanted} at hand")


def open_repository(folder: Path, keys_folder: Path, now_us: UtcUs) -> Repository:
    """The repository in `folder`, every signature checked; an empty one when there is none yet.

    Raises:
        SettingError: what is there is damaged or not signed by its own root.
    """
    now = datetime.fromtimestamp(now_us // US_PER_S, UTC)
    if not (folder / METADATA_FOLDER / "timestamp.json").exists():
        return _new(folder, keys_folder, now)
    root = _load(folder, f"{_newest_root(folder)}.root", Root)
    timestamp = _load(folder, "timestamp", Timestamp, root)
    snapshot = _load(folder, f"{timestamp.snapshot_meta.version}.snapshot", Snapshot, root)
    targets = _load(folder, f"{snapshot.meta['targets.json'].version}.targets", Targets, root)
    return Repository(folder, keys_folder, now, root, targets, snapshot, timestamp)


def check_channel(channel: str) -> None:
    """Refuse what cannot be the name of a channel.

    Raises:
        SettingError: says why.
    """
    if not _CHANNEL.fullmatch(channel) or channel in _ROLES:
        raise SettingError(
            "channel",
            repr(channel),
            "cannot be the name of a channel",
            "use small letters and digits, such as stable",
        )


def _new(folder: Path, keys_folder: Path, now: datetime) -> Repository:
    """A repository of version 0: everything is still to be signed."""
    root = Root(version=1, expires=now, consistent_snapshot=True)
    signers: dict[str, list[CryptoSigner]] = {
        "root": [keys.load_signer(keys_folder, name) for name in keys.ROOT_KEYS],
        "targets": [keys.load_signer(keys_folder, keys.TARGETS_KEY)],
        "snapshot": [keys.load_signer(keys_folder, keys.SNAPSHOT_KEY)],
        "timestamp": [keys.load_signer(keys_folder, keys.TIMESTAMP_KEY)],
    }
    for role, role_signers in signers.items():
        for signer in role_signers:
            root.add_key(signer.public_key, role)
    root.roles["root"].threshold = keys.ROOT_THRESHOLD
    targets = Targets(expires=now, delegations=Delegations({}, {}))
    repository = Repository(folder, keys_folder, now, root, targets, Snapshot(expires=now), Timestamp(expires=now))
    for signed in (root, targets, repository.snapshot, repository.timestamp):
        signed.version = 0
    return repository


def _newest_root(folder: Path) -> int:
    version = 1
    while (folder / METADATA_FOLDER / f"{version + 1}.root.json").exists():
        version += 1
    return version


def _load(folder: Path, name: str, kind: type[T], by: Delegator | None = None, role: str | None = None) -> T:
    """The metadata file `name`, signed as `by` (or itself, for a root) demands."""
    path = folder / METADATA_FOLDER / f"{name}.json"
    try:
        metadata = Metadata[T].from_bytes(path.read_bytes())
        if not isinstance(metadata.signed, kind):
            raise SettingError("repository", str(path), f"is not {kind.type} metadata", "restore it from a copy")
        delegator = by or metadata.signed
        assert isinstance(delegator, Root | Targets)
        delegator.verify_delegate(role or kind.type, metadata.signed_bytes, metadata.signatures)
    except OSError as error:
        raise SettingError("repository", str(path), f"cannot be read ({error.strerror})", "restore it") from error
    except (RepositoryError, ValueError) as error:
        raise SettingError("repository", str(path), f"is damaged: {error}", "restore it from a copy") from error
    return metadata.signed
