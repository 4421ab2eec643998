"""A publisher with throw-away keys, and the repository it fills: the real one, in a temporary folder."""

import hashlib
from pathlib import Path

from tuf.api.metadata import TargetFile

from cloud_trainer.keys import create_keys
from cloud_trainer.publish import Publication, plan, served_path, write
from cloud_trainer.repository import FileWrite, open_repository
from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import US_PER_S, UtcUs
from tests.sim.bundles import write_bundle

DAY_US = 86_400 * US_PER_S


class Publisher:
    """Publishes tiny bundles on the channel `stable` of the repository `folder / "repository"`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.keys = folder / "keys"
        create_keys(self.keys)

    def publish(self, release: int, *, model: bytes = b"weights", days_ago: int = 0, channel: str = "stable") -> str:
        """Publish a bundle with the model `model`; its digest."""
        bundle = self.folder / f"bundle-{hashlib.sha256(model).hexdigest()[:12]}"
        write_bundle(bundle, model=model)
        return self.publish_bundle(bundle, release, days_ago=days_ago, channel=channel)

    def publish_bundle(self, bundle: Path, release: int, *, days_ago: int = 0, channel: str = "stable") -> str:
        """Publish the bundle in the folder `bundle`; its digest."""
        now_us = UtcUs(SystemClock().utc_us() - days_ago * DAY_US)
        publication = plan(self.repository, self.keys, bundle, channel, release, now_us)
        write(self.repository, publication)
        return publication.digest

    def sign(self, offered: dict[str, bytes], release: int) -> None:
        """Publish whatever is `offered` under its target paths, wrong as it may be, validly signed."""
        repository = open_repository(self.repository, self.keys, SystemClock().utc_us())
        targets = [TargetFile.from_data(path, data, ["sha256"]) for path, data in offered.items()]
        repository.publish("stable", targets)
        files = [FileWrite(served_path(target), offered[target.path]) for target in targets]
        write(self.repository, Publication("stable", release, "", "", files + repository.writes, []))

    @property
    def root(self) -> bytes:
        """The first root: what a gateway is installed with."""
        return (self.repository / "metadata" / "1.root.json").read_bytes()
