import io
import json
from pathlib import Path

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from tests.sim.fleet import SITE, tenant

pytestmark = [pytest.mark.slow, pytest.mark.pg]


async def test_a_site_is_listed_exported_and_erased(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = await tenant(dsn, "ours")
    whose = ["--organisation", "ours", "--dsn", dsn]
    assert main(["site", "list", *whose]) == Exit.OK
    assert ours.gateway in capsys.readouterr().out
    assert main(["site", "list", *whose, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)[0]["gateways_active"] == 1
    assert main(["site", "export", SITE, "--folder", str(tmp_path / "a"), *whose]) == Exit.OK
    printed = capsys.readouterr()
    assert "readings of ours-1 in 2024-01: 2 rows so far" in printed.err
    assert "7 rows in 8 files" in printed.out
    assert main(["site", "export", SITE, "--folder", str(tmp_path / "b"), *whose, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert main(["site", "export", SITE, "--folder", str(tmp_path / "b"), *whose]) == Exit.CONFLICT
    assert main(["site", "erase", SITE, "--yes", *whose]) == Exit.CONFLICT
    assert main(["site", "erase", SITE, "--yes", "--revoke", *whose, "--json"]) == Exit.OK
    erased = json.loads(capsys.readouterr().out)["erased"]
    assert (erased["reading_row"], erased["gateway"], erased["claim"]) == (2, 1, 2)
    assert main(["site", "erase", SITE, "--yes", *whose]) == Exit.NOT_FOUND


@pytest.mark.parametrize(
    ("typed", "code"), [("home\n", Exit.OK), ("yes\n", Exit.BAD_SETTING), ("", Exit.BAD_SETTING)]
)
async def test_a_site_is_erased_only_when_its_name_is_typed(
    dsn: str, typed: str, code: Exit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await tenant(dsn, "ours")
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    whose = ["--organisation", "ours", "--dsn", dsn]
    assert main(["site", "erase", SITE, "--revoke", *whose]) == code
    assert "Type the name of the site" in capsys.readouterr().err
    assert main(["site", "list", *whose, "--json"]) == Exit.OK
    assert (json.loads(capsys.readouterr().out) == []) == (code == Exit.OK)
