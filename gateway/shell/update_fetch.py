"""One check for a new bundle: download into `staging`, acceptance, move to `versions`.

python-tuf is synchronous and cannot be cancelled, so this runs in a child process (`fetch_command`)
that can be killed, and that gives its memory back. It never decides what runs: only the gateway
writes `state.json`.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuf.api.exceptions import (
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.serialization import DeserializationError
from tuf.ngclient import TargetFile
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from gateway.contract.manifest import (
    FILE_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    ManifestError,
    check_file,
    decode_manifest,
)
from gateway.contract.repository import METADATA_FOLDER, TARGETS_FOLDER, file_target, manifest_target, served_name
from gateway.core.update import Outcome, OutcomeKind, Released, below_floor
from gateway.shell import durable
from gateway.shell.bundle_files import FACTORY, BundleFiles, read_state
from gateway.shell.cold_check import CheckFailedError, accept_cold
from gateway.shell.fetcher import GAP_S_MAX, BundleFetcher, clear_spool

# Our own metadata is below 10 kB a file; a hundred channels would still fit.
_METADATA_BYTES_MAX = 256 * 1024
Accept = Callable[[Path], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one check is to look for, and how long it may take in real seconds."""

    # the repository: holds `metadata/` and `targets/`
    url: str
    # bytes of the root metadata that is trusted
    root: bytes
    # those to look at, the preferred one first: what the first offers that offers anything is taken
    channels: tuple[str, ...]
    models: Path
    # digest of the bundle that runs
    current: str
    budget_s: float
    gap_s: float = GAP_S_MAX
    factory: Path = FACTORY


class _RefusedError(Exception):
    """What was delivered is not what was signed; the next delivery may be."""

    lasting = False


class _WrongBundleError(_RefusedError):
    """What was signed is wrong in itself: fetching it again is useless."""

    lasting = True


class _ImpossibleError(Exception):
    """This machine cannot do the check now."""


def fetch(check: Check, accept: Accept = accept_cold) -> Outcome:
    """Look for a new bundle and install it below `versions`; every end is an `Outcome`.

    `accept` proves the staged bundle: it returns why it is refused, or nothing.
    """
    try:
        with _locked(durable.make_folder(check.models)):
            return _Fetch(check, accept).run()
    except (_ImpossibleError, CheckFailedError) as error:
        return Outcome("local", reason=str(error))
    except OSError as error:
        return Outcome("local", reason=f"{error.filename or 'this machine'}: {error.strerror or error}")


class _Fetch:
    """One check at work, the lock in hand."""

    def __init__(self, check: Check, accept: Accept) -> None:
        self._check, self._accept = check, accept
        models = check.models
        self._files = BundleFiles(models, check.factory)
        for folder in ("versions", "spool", "tuf"):
            durable.make_folder(models / folder)
        durable.remove_tree(models / "staging")
        self._fetcher = BundleFetcher(check.url, models / "spool", check.budget_s, gap_s=check.gap_s)
        self._release: int | None = None
        self._digest: str | None = None
        self._channel = check.channels[-1]

    def run(self) -> Outcome:
        """Do the check; errors of python-tuf become outcomes here and nowhere else."""
        try:
            return self._look()
        except _RefusedError as error:
            return self._outcome("refused", str(error), lasting=error.lasting)
        except ExpiredMetadataError as error:
            return self._outcome("expired", str(error))
        except DeserializationError:
            # A captive portal answers everything with a page: that is no attack.
            return self._outcome("network", f"{self._fetcher.last_name} is no metadata: not a repository")
        except RepositoryError as error:
            return self._outcome("refused", f"{self._fetcher.last_name}: {error}")
        except DownloadError as error:
            return self._outcome("network", str(error))

    def _look(self) -> Outcome:
        updater = self._updater()
        updater.refresh()
        target = self._offered(updater)
        # python-tuf renames without fsync: a power cut could empty all metadata at once, and with
        # it the protection against an old repository.
        durable.sync_tree(self._check.models / "tuf")
        if target is None:
            names = " or ".join(map(repr, self._check.channels))
            return self._outcome("no_update", f"nothing is published on channel {names}")
        self._digest = target.hashes.get("sha256")
        self._release = _release_of(target)
        if self._digest is None:
            raise _WrongBundleError(f"{MANIFEST_NAME} is signed without its SHA-256")
        if self._digest == self._check.current:
            return self._outcome("no_update", "")
        if (reason := self._refused_before(self._digest)) is not None:
            return self._outcome("no_update", f"refused before: {reason}")
        if (installed := self._files.installed(self._digest)) is not None:
            self._release = installed.manifest.release
            if reason := self._step_back(installed.manifest):
                raise _RefusedError(reason)  # it stays what can be gone back to
            return self._outcome("installed", "was fetched before")
        self._install(updater, target)
        return self._outcome("installed", "")

    def _offered(self, updater: Updater) -> TargetFile | None:
        """The manifest on the first of the channels that has one. That an earlier one has none is signed, too."""
        for channel in self._check.channels:
            if (target := updater.get_targetinfo(manifest_target(channel))) is not None:
                self._channel = channel
                return target
        return None

    def _step_back(self, manifest: BundleManifest) -> str:
        """Why it must not follow what runs. TUF sees to that while its local metadata lasts: a second lock."""
        running = self._files.find(self._check.current)
        if running is None:
            return ""
        before = Released(running.manifest.channel, running.manifest.release)
        reason = below_floor(self._check.channels, before, Released(self._channel, manifest.release))
        return f"{MANIFEST_NAME}: {reason}" if reason else ""

    def _updater(self) -> Updater:
        check = self._check
        limits = UpdaterConfig(
            root_max_length=_METADATA_BYTES_MAX,
            snapshot_max_length=_METADATA_BYTES_MAX,
            targets_max_length=_METADATA_BYTES_MAX,
        )
        base = check.url.rstrip("/")
        try:
            return Updater(
                str(check.models / "tuf"),
                f"{base}/{METADATA_FOLDER}/",
                target_base_url=f"{base}/{TARGETS_FOLDER}/",
                fetcher=self._fetcher,
                config=limits,
                bootstrap=check.root,
            )
        except RepositoryError as error:
            raise _ImpossibleError(f"update.root is not trusted root metadata: {error}") from error

    def _install(self, updater: Updater, target: TargetFile) -> None:
        """Assemble the bundle in `staging`, have it accepted, move it to `versions`; durable at each step."""
        assert self._digest is not None
        staging = durable.make_folder(self._check.models / "staging" / self._digest)
        manifest = self._download_manifest(updater, target, staging)
        names = {served_name(entry.sha256, name) for name, entry in manifest.files.items()}
        clear_spool(self._check.models / "spool", keep=frozenset(names))
        for name, entry in manifest.files.items():
            if not self._reuse(name, entry, staging):
                self._download_file(updater, name, entry, staging)
        durable.sync_tree(staging)
        if reason := self._accept(staging):
            raise _WrongBundleError(reason)
        durable.move_folder(staging, self._files.path_of(self._digest))
        clear_spool(self._check.models / "spool")

    def _download_manifest(self, updater: Updater, target: TargetFile, staging: Path) -> BundleManifest:
        if target.length > MANIFEST_BYTES_MAX:
            raise _WrongBundleError(f"{MANIFEST_NAME} has {target.length} bytes, more than {MANIFEST_BYTES_MAX}")
        self._download(updater, target, staging / MANIFEST_NAME)
        try:
            manifest = decode_manifest((staging / MANIFEST_NAME).read_bytes())
        except ManifestError as error:
            raise _WrongBundleError(str(error)) from error
        self._release = manifest.release
        if manifest.channel != self._channel:
            raise _WrongBundleError(f"{MANIFEST_NAME} is of channel {manifest.channel!r}, not {self._channel!r}")
        if reason := self._step_back(manifest):
            raise _WrongBundleError(reason)
        return manifest

    def _download_file(self, updater: Updater, name: str, entry: FileEntry, staging: Path) -> None:
        target = updater.get_targetinfo(file_target(self._channel, name, entry.sha256))
        if target is None:
            raise _WrongBundleError(f"{name}: the manifest names it, the signed metadata does not")
        if target.length > FILE_BYTES_MAX:
            raise _WrongBundleError(f"{name} has {target.length} bytes, more than {FILE_BYTES_MAX}")
        self._download(updater, target, staging / name)
        try:
            check_file(name, (staging / name).read_bytes(), entry)
        except ManifestError as error:
            raise _WrongBundleError(str(error)) from error

    def _download(self, updater: Updater, target: TargetFile, path: Path) -> None:
        """Download a target; what differs from the signed metadata is refused under its own name."""
        try:
            try:
                updater.download_target(target, str(path))
            except LengthOrHashMismatchError:
                if not self._fetcher.last_was_resumed:
                    raise
                # The part in the spool may be what was wrong; it is gone now.
                updater.download_target(target, str(path))
        except (LengthOrHashMismatchError, DownloadLengthMismatchError) as error:
            raise _RefusedError(f"{path.name}: length or hash differs from the signed metadata") from error

    def _reuse(self, name: str, entry: FileEntry, staging: Path) -> bool:
        """Take a file from an installed version when it is the same: nothing is fetched twice."""
        for version in sorted((self._check.models / "versions").iterdir()):
            try:
                with (version / name).open("rb") as file:
                    data = file.read(entry.size + 1)
                check_file(name, data, entry)
            except (OSError, ManifestError):
                continue
            (staging / name).write_bytes(data)
            return True
        return False

    def _refused_before(self, digest: str) -> str | None:
        try:
            state = read_state(self._check.models)
        except (OSError, ValueError):
            # None yet, or damaged: the gateway mends it when it starts, nothing is known till then.
            return None
        return next((refusal.reason for refusal in state.refused if refusal.digest == digest), None)

    def _outcome(self, kind: OutcomeKind, reason: str, *, lasting: bool = False) -> Outcome:
        return Outcome(kind, self._release, self._digest, reason, lasting)


def _release_of(target: TargetFile) -> int | None:
    """The release that the signed metadata tells before the manifest is here; for the report only."""
    custom = target.custom
    release = custom.get("release") if isinstance(custom, dict) else None
    return release if isinstance(release, int) else None


@contextmanager
def _locked(models: Path) -> Iterator[None]:
    """Hold the lock of the models folder: two checks at once would mix their metadata."""
    descriptor = os.open(models / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _ImpossibleError("another check is at work") from error
        yield
    finally:
        os.close(descriptor)
