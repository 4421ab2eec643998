import json
from pathlib import Path

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from gateway.contract.repository import organisation_channel
from tests.sim.bundles import write_bundle


@pytest.fixture
def arguments(tmp_path):
    write_bundle(tmp_path / "bundle")
    assert main(["keys", "create", "--folder", str(tmp_path / "keys")]) == Exit.OK
    folders = {name: str(tmp_path / name) for name in ("repository", "keys", "bundle")}
    return ["publish", *(part for name, folder in folders.items() for part in (f"--{name}", folder))]


def test_release_is_told_by_digest_and_trusted_root(arguments, capsys):
    capsys.readouterr()
    assert main([*arguments, "--release", "1", "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["channel"], told["release"], len(told["digest"])) == ("stable", 1, 64)
    assert Path(told["root"]).name == "1.root.json"
    assert Path(told["root"]).exists()
    assert main([*arguments, "--release", "2"]) == Exit.OK
    assert "published release 2 on stable" in capsys.readouterr().out


def test_release_that_does_not_rise_ends_in_one_sentence(arguments, capsys):
    main([*arguments, "--release", "3"])
    capsys.readouterr()
    assert main([*arguments, "--release", "3"]) == Exit.CONFLICT
    assert capsys.readouterr().err == "smartwatts-trainer: release = 3: is not above 3, published on stable; use 4.\n"


def test_folder_without_a_bundle_is_another_exit_code_than_a_damaged_one(arguments, tmp_path, capsys):
    (tmp_path / "bundle" / "manifest.json").rename(tmp_path / "bundle" / "manifest")
    assert main([*arguments, "--release", "1"]) == Exit.NOT_FOUND
    assert "bundle: manifest.json cannot be read" in capsys.readouterr().err
    (tmp_path / "bundle" / "manifest.json").write_text("{")
    assert main([*arguments, "--release", "1"]) == Exit.BAD_SETTING


def test_release_for_one_organisation_has_a_channel_of_its_own_and_tells_nobody_whose(arguments, tmp_path, capsys):
    assert main([*arguments, "--release", "5"]) == Exit.OK
    capsys.readouterr()
    assert main([*arguments, "--release", "1", "--organisation", "acme", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["channel"] == organisation_channel("stable", "acme")
    assert main([*arguments, "--release", "1", "--organisation", "acme"]) == Exit.CONFLICT
    published = [path for path in (tmp_path / "repository").rglob("*") if path.is_file()]
    assert not any("acme" in str(path.relative_to(tmp_path)) or b"acme" in path.read_bytes() for path in published)


def test_organisation_that_cannot_be_one_is_refused(arguments, capsys):
    assert main([*arguments, "--release", "1", "--organisation", "A/B"]) == Exit.BAD_SETTING
    assert "--organisation = 'A/B': is no name" in capsys.readouterr().err
