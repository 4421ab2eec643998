import json
from pathlib import Path

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit


def test_keys_are_made_and_shown_without_their_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "keys")
    assert main(["server-key", "create", "--keys", folder, "--json"]) == Exit.OK
    (made,) = json.loads(capsys.readouterr().out)
    assert main(["server-key", "list", "--keys", folder, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == [made]
    assert main(["server-key", "list", "--keys", folder]) == Exit.OK
    told = capsys.readouterr().out
    assert made["key"] in told
    assert "UTC" in told


def test_a_folder_that_is_not_there_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server-key", "list", "--keys", str(tmp_path / "no")]) == Exit.BAD_SETTING
    assert "No such file" in capsys.readouterr().err
