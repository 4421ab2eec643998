import json
from pathlib import Path

import pytest

from firmware_bridge.catalog import load_profile, map_text, profile_names
from firmware_bridge.errors import Exit
from provisioning.__main__ import main


@pytest.fixture
def folder(tmp_path):
    text = map_text("eastron_sdm630").replace('key = "eastron_sdm630"', 'key = "corner_shop"')
    (tmp_path / "corner_shop.toml").write_text(text)
    return tmp_path


def test_all_profiles_are_listed_with_maker_and_confidence(capsys):
    assert main(["profile", "list"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["profile", *profile_names()]
    assert lines[1].split()[:4] == ["abb_b23", "high", "meter", "ABB"]


def test_the_list_for_programs_has_those_of_a_folder_too(folder, capsys):
    assert main(["profile", "list", "--folder", str(folder), "--json"]) == Exit.OK
    told = {one["key"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(told) == {"corner_shop", *profile_names()}
    assert told["corner_shop"]["vendor"] == "Eastron"


def test_a_profile_is_shown(folder, capsys):
    assert main(["profile", "show", "corner_shop", "--folder", str(folder)]) == Exit.OK
    out = capsys.readouterr().out
    assert out.startswith("corner_shop: Eastron ")
    assert "requests: 1 for each sweep" in out or "requests: " in out
    assert main(["profile", "show", "xy_md02", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["key"] == "xy_md02"


def test_an_unknown_profile_is_answered_with_those_most_like_it(capsys):
    assert main(["profile", "show", "sdm630"]) == Exit.NOT_FOUND
    said = capsys.readouterr()
    assert "profile = 'sdm630': is not a known meter; use one of: eastron_sdm630, or another" in said.err
    assert said.out == ""


def test_the_profiles_of_the_program_are_in_order(capsys):
    assert main(["profile", "lint", "--all"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(".toml: in order, ")[0] for line in lines if not line.startswith("  mind: ")} == set(
        profile_names()
    )


def test_every_mistake_is_one_sentence_and_the_exit_code_says_so(folder, capsys):
    file = folder / "corner_shop.toml"
    file.write_text(file.read_text().replace('unit = "Hz"', 'unit = "kHz"').replace('unit = "VA"', 'unit = "V"'))
    assert main(["profile", "lint", str(file)]) == Exit.BAD_SETTING
    assert capsys.readouterr().out.splitlines() == [
        "corner_shop.toml: registers.apparent_power_va.unit = 'V': does not fit apparent_power_va; "
        "use VA or kVA, and set scale to match.",
        "corner_shop.toml: registers.frequency_hz.unit = 'kHz': does not fit frequency_hz; "
        "use Hz or mHz, and set scale to match.",
    ]


def test_a_program_gets_mistakes_in_parts(folder, capsys):
    (folder / "Broken.toml").write_text("schema = ")
    assert main(["profile", "lint", str(folder / "Broken.toml"), "--json"]) == Exit.BAD_SETTING
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["file"], told["ok"], told["mind"]) == ("Broken.toml", False, [])
    assert [one["problem"].split(":")[0] for one in told["mistakes"]] == [
        "cannot be named by a configuration",
        "is not TOML",
    ]


def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_being_checked(folder, capsys):
    files = [folder / "missing.toml", folder / "corner_shop.toml"]
    assert main(["profile", "lint", *map(str, files)]) == Exit.BAD_SETTING
    out = capsys.readouterr().out
    assert "missing.toml: cannot be read (No such file or directory)" in out
    assert "corner_shop.toml: in order" in out


def test_nothing_to_check_is_a_mistake(capsys):
    assert main(["profile", "lint"]) == Exit.BAD_SETTING
    assert "name a profile's file, or give --all" in capsys.readouterr().err


def test_a_new_profile_is_written_and_passes_the_check(tmp_path, capsys):
    assert main(["profile", "new", "mine", "--into", str(tmp_path)]) == Exit.OK
    assert main(["profile", "new", "theirs", "--from", "abb_b23", "--into", str(tmp_path)]) == Exit.OK
    assert main(["profile", "lint", str(tmp_path / "mine.toml"), str(tmp_path / "theirs.toml")]) == Exit.OK
    assert load_profile("theirs", [tmp_path]).registers == load_profile("abb_b23").registers
    assert "then: smartwatts-provision profile lint" in capsys.readouterr().out


def test_a_new_profile_may_begin_with_one_of_the_installer(folder, tmp_path):
    argv = ["profile", "new", "next_door", "--from", "corner_shop", "--folder", str(folder), "--into", str(tmp_path)]
    assert main(argv) == Exit.OK
    assert load_profile("next_door", [tmp_path]).file.vendor == "Eastron"


def test_nothing_is_overwritten(folder, capsys):
    before = (folder / "corner_shop.toml").read_text()
    assert main(["profile", "new", "corner_shop", "--into", str(folder)]) == Exit.CONFLICT
    assert "corner_shop.toml: is there already; choose another name" in capsys.readouterr().err
    assert (folder / "corner_shop.toml").read_text() == before


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["Mine"], Exit.BAD_SETTING, "file = 'Mine.toml': cannot be named by a configuration"),
        (["../mine"], Exit.BAD_SETTING, "cannot be named by a configuration"),
        (['mi"ne'], Exit.BAD_SETTING, "cannot be named by a configuration"),
        (["mine", "--from", "abb"], Exit.NOT_FOUND, "use one of: abb_b23"),
    ],
)
def test_what_cannot_be_begun_is_said(argv: list[str], code: int, said: str, tmp_path, capsys):
    assert main(["profile", "new", *argv, "--into", str(tmp_path)]) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys):
    missing = str(tmp_path / "missing")
    assert main(["profile", "new", "mine", "--into", missing]) == Exit.BAD_SETTING
    assert "cannot be written (No such file or directory); name a folder" in capsys.readouterr().err
    assert main(["profile", "list", "--folder", missing]) == Exit.BAD_SETTING
    assert "name a folder with profiles" in capsys.readouterr().err
