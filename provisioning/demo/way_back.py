"""The demonstration's publisher: throw-away keys, two good releases, and one with a flipped byte."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.contract.manifest import MANIFEST_NAME, decode_manifest
from gateway.contract.repository import TARGETS_FOLDER, manifest_target
from gateway.shell.bundle_files import FACTORY
from provisioning.demo.processes import ProgramError, run_command

TRAINER = "cloud_trainer"
CHANNEL = "stable"
# In three rounds as much is learnt of this home as the factory's bundle knows, which has seen a hundred like it.
EPOCHS = 3
# Two minutes on a PC; a small board that does something else takes ten.
TRAIN_S_MAX = 1_800.0


class WayBack:
    """Publishes a bundle under rising release numbers, through the trainer's own commands.

    It is the factory's, or one that is trained on a recording first.
    """

    def __init__(self, folder: Path, recording: Path | None = None) -> None:
        """`folder` gets `keys/`, `repository/` and `root.json`, what a gateway trusts."""
        self._folder, self._keys, self.repository = folder, folder / "keys", folder / "repository"
        self._recording = recording
        self._bundle = FACTORY if recording is None else folder / "bundle"
        self.digests: dict[int, str] = {}

    @property
    def is_trained(self) -> bool:
        """Whether the bundle was trained, and is not the factory's."""
        return self._recording is not None

    @property
    def forecasts(self) -> set[tuple[str, str]]:
        """Which kinds of which targets the published bundle forecasts."""
        manifest = decode_manifest((self._bundle / MANIFEST_NAME).read_bytes())
        return {(model.kind, model.task.target) for model in manifest.models if model.task is not None}

    async def open(self) -> None:
        """Make keys, publish release 1, and lay the trusted root where an installer would copy it to."""
        if self._recording is None:
            await _command("keys", "create", "--folder", self._keys)
            published = await self._publish(self.repository, 1)
        else:
            published = await self._train(self._recording)
        shutil.copyfile(published["root"], self._folder / "root.json")

    async def publish(self, release: int) -> None:
        """Publish a good release."""
        await self._publish(self.repository, release)

    async def publish_damaged(self, release: int) -> None:
        """Publish a release whose manifest has one byte flipped after it was signed.

        It is made in a copy and moved into place whole: no gateway can see it before the damage.
        """
        draft = self._folder / "repository.draft"
        shutil.copytree(self.repository, draft)
        before = set(_manifests(draft))
        await self._publish(draft, release)
        (manifest,) = set(_manifests(draft)) - before
        _flip_byte(manifest)
        aside = self._folder / "repository.aside"
        self.repository.rename(aside)
        draft.rename(self.repository)
        shutil.rmtree(aside)

    async def _train(self, recording: Path) -> dict[str, Any]:
        """The whole companion in one command: it trains, judges, makes keys, signs and publishes release 1."""
        published: dict[str, Any] = await asyncio.to_thread(
            run_command, TRAINER, "once", "--data", recording, "--publish", self.repository, "--keys", self._keys,
            "--channel", CHANNEL, "--out", self._bundle, "--max-epochs", str(EPOCHS), "--seeds", "1", "--if-as-good",
            is_shown=True, seconds_max=TRAIN_S_MAX,
        )  # fmt: skip
        if not published["published"]:
            raise ProgramError(f"what was trained is no release: {published['verdict']}")
        self.digests[published["release"]] = published["digest"]
        return published

    async def _publish(self, repository: Path, release: int) -> dict[str, Any]:
        published = await _command(
            "publish", "--repository", repository, "--keys", self._keys, "--bundle", self._bundle,
            "--channel", CHANNEL, "--release", str(release),
        )  # fmt: skip
        self.digests[release] = published["digest"]
        return published


async def _command(*arguments: str | Path) -> dict[str, Any]:
    return await asyncio.to_thread(run_command, TRAINER, *arguments)


def _manifests(repository: Path) -> Sequence[Path]:
    target = Path(manifest_target(CHANNEL))
    return list((repository / TARGETS_FOLDER / target.parent).glob(f"*.{target.name}"))


def _flip_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
