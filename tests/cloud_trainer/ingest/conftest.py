"""An ingest on loopback, and a gateway that it knows."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cloud_trainer.ingest.app import listening
from cloud_trainer.ingest.settings import Settings
from tests.sim.signed_sender import Sender, know


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings(dsn=dsn, keys=str(tmp_path / "keys"), host="127.0.0.1", port=0, metrics_port=0)


@pytest.fixture
async def sender(settings: Settings, dsn: str) -> AsyncIterator[Sender]:
    """A gateway in front of an ingest with the usual limits."""
    async with listening(settings) as ports, aiohttp.ClientSession() as session:
        yield know(dsn, Sender(session, ports.public_url, Path(settings.keys)))
