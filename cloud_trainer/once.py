"""Publishes what is better than what gateways run, and nothing else. A shell.

What they run is the latest release of the first of their channels that has one, or the factory's bundle.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tuf.api.exceptions import LengthOrHashMismatchError

import gateway
from cloud_trainer import keys as signing
from cloud_trainer.bundle import BundledModel
from cloud_trainer.publish import plan, served_path, write
from cloud_trainer.repository import open_repository
from cloud_trainer.trial import read_manifest
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.manifest import decode_golden, forecast_spec
from gateway.contract.repository import METADATA_FOLDER

FACTORY = Path(gateway.__file__).parent / "factory"


class Shop(NamedTuple):
    """Where releases are published, with which keys, and on which channel."""

    repository: Path
    keys: Path
    # the channels that its gateways follow: it is published on the first
    channels: Sequence[str]

    @property
    def channel(self) -> str:
        """The channel that is published on."""
        return self.channels[0]


class InUse(NamedTuple):
    """What gateways run until something better comes: a bundle, and its name for people."""

    folder: Path
    words: str


class Published(NamedTuple):
    """A release that is out."""

    release: int
    digest: str
    root: Path
    warnings: list[str]


def ensure_keys(shop: Shop) -> bool:
    """Make the keys of a repository that is new, and that of its channel; whether a whole set was made.

    Raises:
        SettingError: others may look into the folder, it cannot be used, or a key that signs releases is missing.
    """
    is_new = not (shop.repository / METADATA_FOLDER).exists()
    made = is_new and not signing.has_key(shop.keys, signing.TARGETS_KEY)
    if made:
        signing.create_keys(shop.keys, [shop.channels[-1]])
    signing.ensure_channel_key(shop.keys, shop.channel)
    # Better now than when a model is trained.
    for name in (signing.SNAPSHOT_KEY, signing.TIMESTAMP_KEY, signing.channel_key(shop.channel)):
        signing.load_signer(shop.keys, name)
    return made


def in_use(shop: Shop, scratch: Path, now_us: UtcUs) -> InUse:
    """What the gateways of the shop run; a release is laid out in `scratch`, every file checked.

    Raises:
        SettingError: the repository is damaged, or its keys are missing.
    """
    opened = open_repository(shop.repository, shop.keys, now_us)
    for channel in shop.channels:
        offered = opened.offered(channel)
        for path, target in offered.items():
            file = shop.repository / served_path(target)
            try:
                data = file.read_bytes()
                target.verify_length_and_hashes(data)
            except (OSError, LengthOrHashMismatchError) as error:
                raise SettingError(
                    "repository", str(file), f"is damaged: {error}", "restore it from a copy"
                ) from error
            (scratch / path.rpartition("/")[2]).write_bytes(data)
        if offered:
            return InUse(scratch, f"release {opened.released(channel)} of {channel}")
    return InUse(FACTORY, "the factory's bundle")


def publish(shop: Shop, bundle: Path, now_us: UtcUs) -> Published:
    """Publish the bundle as the next release.

    Raises:
        SettingError: a key is missing, or the repository cannot be written.
    """
    release = open_repository(shop.repository, shop.keys, now_us).released(shop.channel) + 1
    publication = plan(shop.repository, shop.keys, bundle, shop.channel, release, now_us)
    write(shop.repository, publication)
    return Published(release, publication.digest, shop.repository / publication.root, publication.warnings)


def models_of(folder: Path) -> list[BundledModel]:
    """The forecasters of the bundle in `folder`, to go on in another one.

    Raises:
        SettingError: there is no bundle of this contract.
    """
    manifest, found = read_manifest(folder), []
    golden = {one.model: one for one in manifest.golden}
    for model in manifest.models:
        if model.kind not in ("energy_forecast", "load_prediction") or model.task is None:
            continue
        found.append(
            BundledModel(
                spec=forecast_spec(model.kind, model.task),
                target=model.task.target,
                data=(folder / model.file).read_bytes(),
                form=model.form,
                form_reason=model.form_reason,
                operators=model.operators,
                cases=decode_golden((folder / golden[model.name].file).read_bytes()),
                tolerance=golden[model.name].tolerance,
                metrics=model.metrics,
            )
        )
    return found
