from pathlib import Path

import pytest

from cloud_trainer.announce import announce
from firmware_bridge.errors import SettingError


def test_a_file_that_tells_is_whole_and_private(tmp_path: Path) -> None:
    announce("--port-file", tmp_path / "port", "1")
    announce("--port-file", tmp_path / "port", "22\n")
    assert (tmp_path / "port").read_text() == "22\n"
    assert [path.name for path in tmp_path.iterdir()] == ["port"]
    assert (tmp_path / "port").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--port-file = "):
        announce("--port-file", tmp_path / "none" / "port", "1")
