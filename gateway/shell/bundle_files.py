"""The model bundles on disk, and which of them is current.

Below the models folder lie `versions/<digest>/` (immutable), `state.json` (the ONLY pointer, replaced
atomically) and what belongs to the checking child and may be lost: `lock`, `staging/`, `spool/`,
`tuf/`. The factory bundle is part of the package and read-only.

What runs is verified first, every file against the manifest and the manifest against the digest:
a damaged bundle is fetched again, and meanwhile the best one left runs.
"""

import dataclasses
import hashlib
import logging
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

import gateway
from gateway.contract.manifest import ManifestError, Sha256
from gateway.shell import durable
from gateway.shell.verified_bundle import BundleMissingError, VerifiedBundle, read_bundle

log = logging.getLogger(__name__)

FACTORY = Path(gateway.__file__).parent / "factory"
# A refused bundle is only offered again until the next release; sixteen bad ones in a row are
# somebody else's problem, and the list must not grow for ever.
REFUSED_MAX = 16
STATE_NAME = "state.json"
_STATE_BYTES_MAX = 64 * 1024


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle that must not be taken again, and why."""

    digest: Sha256
    reason: str


class BundleState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`state.json`. `current` and `previous` are digests; None is the factory bundle."""

    schema: Literal[1] = 1
    current: Sha256 | None = None
    previous: Sha256 | None = None
    # failures of the model host since `current` was activated
    strikes: Annotated[int, Meta(ge=0)] = 0
    refused: Annotated[list[Refusal], Meta(max_length=REFUSED_MAX)] = []


@dataclasses.dataclass(frozen=True, slots=True)
class ActiveBundle:
    """The bundle to run, verified. `trouble` says why it is not the one it should have been."""

    path: Path
    digest: str
    release: int
    origin: Literal["factory", "installed"]
    trouble: str = ""


_STATE_DECODER = msgspec.json.Decoder(BundleState)


def encode_state(state: BundleState) -> bytes:
    """The bytes of `state.json`: a line with the checksum of the rest, then JSON."""
    body = msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode_state(data: bytes) -> BundleState:
    """The state in `data`.

    Raises:
        ValueError: cut short, altered, or of another schema.
    """
    checksum, _, body = data.partition(b"\n")
    if checksum != hashlib.sha256(body).hexdigest().encode():
        raise ValueError("its checksum does not fit")
    try:
        return _STATE_DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def read_state(folder: Path) -> BundleState:
    """The state in the models folder.

    Raises:
        FileNotFoundError: there is none yet.
        OSError, ValueError: it cannot be read, or is damaged.
    """
    with (folder / STATE_NAME).open("rb") as file:
        return decode_state(file.read(_STATE_BYTES_MAX))


class BundleFiles:
    """The models folder. One process writes it: the gateway; its child only adds to `versions`."""

    def __init__(self, folder: Path, factory: Path = FACTORY) -> None:
        self._folder, self._factory = folder, factory
        self._versions = folder / "versions"
        self._state = BundleState()

    def start(self) -> ActiveBundle:
        """Choose what to run: current, else previous, else the newest that verifies, else factory.

        Raises:
            BundleMissingError, ManifestError: not even the factory bundle is whole; the software must
                be installed anew.
            OSError: the folder cannot be written.
        """
        durable.make_folder(self._versions)
        try:
            self._state = read_state(self._folder)
        except FileNotFoundError:
            if not self._present():
                self._write(BundleState())
                return self._choose()
            return self._repair("state.json is missing; the newest whole bundle was taken")
        except (OSError, ValueError) as error:
            return self._repair(f"state.json is damaged ({error}); the newest whole bundle was taken")
        return self._choose()

    def current_digest(self) -> str:
        """The bundle that the gateway here runs, or will; for others than the gateway: nothing is written.

        Raises:
            BundleMissingError, ManifestError: it is the factory bundle, which is not whole.
            OSError, ValueError: the state cannot be read, or is damaged.
        """
        try:
            current = read_state(self._folder).current
        except FileNotFoundError:
            current = None
        return current or self._factory_bundle().digest

    def installed(self, digest: str) -> VerifiedBundle | None:
        """The bundle `digest` when it lies whole under `versions`."""
        try:
            bundle = read_bundle(self.path_of(digest))
        except (BundleMissingError, ManifestError):
            return None
        return bundle if bundle.digest == digest else None

    def find(self, digest: str) -> VerifiedBundle | None:
        """The bundle `digest`, installed or the factory's, when it is whole."""
        try:
            factory = read_bundle(self._factory)
        except (BundleMissingError, ManifestError):
            return self.installed(digest)
        return factory if factory.digest == digest else self.installed(digest)

    def path_of(self, digest: str) -> Path:
        """Where the bundle `digest` lies or would lie."""
        return self._versions / digest

    def activate(self, digest: str) -> ActiveBundle:
        """Make an installed bundle the current one, durably; the present one becomes the previous.

        Raises:
            ManifestError: it is not whole, or was refused; nothing has changed.
        """
        if any(refusal.digest == digest for refusal in self._state.refused):
            raise ManifestError(f"bundle {digest[:12]} was refused before")
        active = self._verified(digest)
        if active is None:
            raise ManifestError(f"bundle {digest[:12]} is not whole")
        if digest != self._state.current:
            self._write(replace(self._state, current=digest, previous=self._state.current, strikes=0))
        self._collect()
        return active

    def strike(self) -> int:
        """Count a failure of the model host, durably; how many there were since the activation."""
        self._write(replace(self._state, strikes=self._state.strikes + 1))
        return self._state.strikes

    def refuse(self, digest: str, reason: str) -> None:
        """Never take `digest` again; it is not the current one."""
        assert digest != self._state.current
        self._write(replace(self._state, refused=self._with_refused(digest, reason)))
        self._collect()

    def roll_back(self, reason: str) -> ActiveBundle:
        """Leave the current bundle for the previous one, or for the factory's; it is refused from now on.

        At the factory bundle there is nothing to go back to: its strikes are forgotten.

        Raises:
            BundleMissingError, ManifestError: not even the factory bundle is whole.
        """
        bad = self._state.current
        if bad is None:
            self._write(replace(self._state, strikes=0))
        else:
            refused = self._with_refused(bad, reason)
            self._write(BundleState(current=self._state.previous, refused=refused))
        active = self._choose()
        self._collect()
        return active

    def _choose(self) -> ActiveBundle:
        """What the state names; when that is damaged the next best, and the state follows."""
        trouble = ""
        for digest in (self._state.current, self._state.previous):
            if digest is None:
                break
            if (active := self._verified(digest)) is not None:
                return self._settle(active, trouble) if trouble else active
            # It stays where it is: should only the reading have failed, the next check finds it whole.
            trouble = trouble or f"bundle {digest[:12]} is damaged; the next best was taken"
        return self._repair(trouble) if trouble else self._factory_bundle()

    def _repair(self, trouble: str) -> ActiveBundle:
        """The newest whole, unrefused version, else the factory bundle."""
        refused = {refusal.digest for refusal in self._state.refused}
        whole = [active for digest in self._present() - refused if (active := self._verified(digest)) is not None]
        newest = max(whole, key=lambda active: (active.release, active.digest), default=None)
        return self._settle(newest or self._factory_bundle(), trouble)

    def _settle(self, active: ActiveBundle, trouble: str) -> ActiveBundle:
        """Run `active` instead of what should have run: loudly, and the state says so from now on."""
        log.error("models: %s; running release %d of origin %s", trouble, active.release, active.origin)
        current = active.digest if active.origin == "installed" else None
        self._write(BundleState(current=current, refused=self._state.refused))
        return dataclasses.replace(active, trouble=trouble)

    def _verified(self, digest: str) -> ActiveBundle | None:
        if (bundle := self.installed(digest)) is None:
            return None
        return ActiveBundle(self.path_of(digest), digest, bundle.manifest.release, "installed")

    def _factory_bundle(self) -> ActiveBundle:
        bundle = read_bundle(self._factory)
        return ActiveBundle(self._factory, bundle.digest, bundle.manifest.release, "factory")

    def _collect(self) -> None:
        """Keep current and previous; nothing else is needed."""
        for digest in self._present() - {self._state.current, self._state.previous}:
            durable.remove_tree(self.path_of(digest))

    def _present(self) -> set[str]:
        return {entry.name for entry in self._versions.iterdir()}

    def _with_refused(self, digest: str, reason: str) -> list[Refusal]:
        others = [refusal for refusal in self._state.refused if refusal.digest != digest]
        return [*others, Refusal(digest, reason)][-REFUSED_MAX:]

    def _write(self, state: BundleState) -> None:
        durable.write_atomically(self._folder / STATE_NAME, encode_state(state))
        self._state = state
