"""The publisher, with the trainer's own commands; what it publishes is checked as a gateway checks it."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.update import Outcome
from gateway.shell.update_fetch import Check, fetch
from provisioning.demo.way_back import CHANNEL, WayBack
from tests.sim.repository_server import serving

pytestmark = pytest.mark.slow


async def checked(way_back: WayBack, folder: Path, current: str = "0" * 64) -> Outcome:
    """What a gateway with the bundle `current` makes of the repository as it stands."""
    with serving(way_back.repository) as server:
        check = Check(
            url=server.url,
            root=(folder / "root.json").read_bytes(),
            channels=(CHANNEL,),
            models=folder / "models",
            current=current,
            budget_s=20.0,
        )
        return await asyncio.to_thread(fetch, check, accept=lambda _: "")


async def test_releases_are_offered_one_after_the_other_and_the_damaged_one_is_refused_by_name(tmp_path: Path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    way_back = WayBack(folder)
    await way_back.open()
    assert ("energy_forecast", "consumption_w") in way_back.forecasts
    first = await checked(way_back, folder)
    assert (first.outcome, first.release, first.digest) == ("installed", 1, way_back.digests[1])
    await way_back.publish(2)
    second = await checked(way_back, folder, way_back.digests[1])
    assert (second.outcome, second.release, second.digest) == ("installed", 2, way_back.digests[2])
    before = sorted(path.name for path in folder.iterdir())
    await way_back.publish_damaged(3)
    third = await checked(way_back, folder, way_back.digests[2])
    assert third.outcome == "refused"
    assert not third.lasting
    assert "manifest.json" in third.reason
    assert sorted(path.name for path in folder.iterdir()) == before, "drafts are gone"
    assert len(set(way_back.digests.values())) == 3
    assert (await checked(way_back, folder, way_back.digests[2])).reason == third.reason, "the same words each time"
