import json
import logging
from pathlib import Path

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from gateway.contract.enrolment import read_code

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def test_a_code_is_printed_alone_and_never_again(
    dsn: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert main(["claim", "create", "--site", "home", "--count", "2", "--dsn", dsn]) == Exit.OK
    printed = capsys.readouterr()
    codes = printed.out.split()
    assert [len(read_code(code)) for code in codes] == [20, 20]
    assert "valid for 72 h" in printed.err
    for arguments in (["--json"], []):
        assert main(["claim", "list", "--dsn", dsn, *arguments]) == Exit.OK
    told = printed.err + caplog.text + "".join(capsys.readouterr())
    assert not any(code in told or read_code(code) in told for code in codes)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_code_can_go_into_a_file_for_its_owner_alone(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    file = tmp_path / "code"
    arguments = ["claim", "create", "--site", "home", "--code-file", str(file), "--dsn", dsn]
    assert main([*arguments, *(["--json"] if as_json else [])]) == Exit.OK
    code = file.read_text().strip()
    assert len(read_code(code)) == 20
    assert file.stat().st_mode & 0o777 == 0o600
    assert code not in "".join(capsys.readouterr())
    assert main(arguments) == Exit.CONFLICT
    assert file.read_text().strip() == code, "nobody has used it yet, perhaps"


def test_a_code_that_can_be_written_nowhere_is_no_claim(dsn: str, tmp_path: Path) -> None:
    arguments = ["claim", "create", "--site", "home", "--code-file", str(tmp_path / "no" / "x"), "--dsn", dsn]
    assert main(arguments) == Exit.BAD_SETTING


def test_a_claim_is_made_listed_and_revoked_as_json(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claim", "create", "--site", "home", "--gateway", "gw-1", "--dsn", dsn, "--json"]) == Exit.OK
    made = json.loads(capsys.readouterr().out)
    assert (made["organisation"], made["site"], made["gateway"]) == ("default", "home", "gw-1")
    number = made["claims"][0]["claim"]
    assert main(["claim", "revoke", str(number), "--dsn", dsn, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"claim": number, "state": "revoked"}
    assert main(["claim", "list", "--dsn", dsn, "--json"]) == Exit.OK
    assert [one["state"] for one in json.loads(capsys.readouterr().out)] == ["revoked"]
    assert main(["claim", "list", "--dsn", dsn]) == Exit.OK
    assert "gw-1" in capsys.readouterr().out


def test_mistakes_end_in_one_sentence(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in (
        (["revoke", "x"], Exit.BAD_SETTING),
        (["revoke", "9" * 19], Exit.BAD_SETTING),
        (["revoke", "²"], Exit.BAD_SETTING),
        (["revoke", "7"], Exit.NOT_FOUND),
        (["create"], Exit.BAD_SETTING),
        (["create", "--replaces", "gw-1"], Exit.NOT_FOUND),
        (["list", "--organisation", "theirs"], Exit.NOT_FOUND),
    ):
        assert main(["claim", *arguments, "--dsn", dsn]) == code
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
