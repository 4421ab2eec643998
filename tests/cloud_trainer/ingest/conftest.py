"""An ingest on loopback, and a gateway that it knows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_trainer.ingest.settings import Settings
from tests.sim.signed_sender import Sender, before_an_ingest


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings(dsn=dsn, keys=str(tmp_path / "keys"), host="127.0.0.1", port=0, metrics_port=0)


@pytest.fixture
async def sender(settings: Settings) -> AsyncIterator[Sender]:
    """A gateway in front of an ingest with the usual limits."""
    async with before_an_ingest(settings) as sender:
        yield sender
