"""What a run refuses before it starts anything; the run itself is tested as a whole, in the scenarios."""

import asyncio
from pathlib import Path

import pytest

from firmware_bridge.errors import SettingError
from provisioning.demo.run import Wanted, run


def test_a_recording_that_is_not_there_is_told_before_anything_is_started(tmp_path: Path):
    folder = tmp_path / "demo"
    with pytest.raises(SettingError, match=r"gone\.csv"):
        asyncio.run(run(Wanted(folder, 10.0, tmp_path / "gone.csv", None)))
    assert not list(folder.glob("*.log"))
