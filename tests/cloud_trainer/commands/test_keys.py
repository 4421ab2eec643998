import json

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit


def test_keys_are_made_and_told_by_their_public_identifier(tmp_path, capsys):
    assert main(["keys", "create", "--folder", str(tmp_path / "keys"), "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert {f"{name}.pem" for name in told["keys"]} == {path.name for path in (tmp_path / "keys").iterdir()}
    assert main(["keys", "create", "--folder", str(tmp_path / "more")]) == Exit.OK
    assert "Keep the root keys apart" in capsys.readouterr().out


def test_second_time_ends_in_one_sentence(tmp_path, capsys):
    arguments = ["keys", "create", "--folder", str(tmp_path / "keys")]
    main(arguments)
    capsys.readouterr()
    assert main(arguments) == Exit.CONFLICT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "root-1.pem" in printed.err
