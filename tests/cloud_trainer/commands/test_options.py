from pathlib import Path

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def test_a_database_without_our_tables_ends_in_one_sentence(
    postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--dsn", postgres, "--log", str(tmp_path), "--poll-s", "60"]) == Exit.UNREACHABLE
    assert "holds no tables of ours" in capsys.readouterr().err
