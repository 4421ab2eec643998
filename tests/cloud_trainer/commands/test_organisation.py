import json

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def test_one_is_made_and_shown(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisation", "create", "ours", "--name", "Ours & Sons", "--dsn", dsn]) == Exit.OK
    assert main(["organisation", "create", "theirs", "--dsn", dsn, "--json"]) == Exit.OK
    assert '{"organisation": "theirs", "name": "theirs"}' in capsys.readouterr().out
    assert main(["organisation", "list", "--dsn", dsn, "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert [one["organisation"] for one in found] == ["default", "ours", "theirs"]
    assert main(["organisation", "list", "--dsn", dsn]) == Exit.OK
    assert "Ours & Sons" in capsys.readouterr().out


def test_twice_ends_in_one_sentence(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisation", "create", "default", "--dsn", dsn]) == Exit.CONFLICT
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
