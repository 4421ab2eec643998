import re

import msgspec
import pytest

from firmware_bridge.errors import Exit
from firmware_bridge.simulator.scenario import EXAMPLE as SIMULATOR_EXAMPLE
from firmware_bridge.simulator.scenario import load_scenario
from gateway import config as gateway_config
from gateway.config import CONFIG_BYTES_MAX, load
from provisioning.__main__ import main
from provisioning.config_command import EXAMPLE


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(EXAMPLE.read_text())
    return path


def test_the_example_validates_and_is_explained(file, capsys):
    assert main(["config", "validate", str(file)]) == Exit.OK
    assert "main: eastron_sdm630, unit 1, measures the grid connection" in capsys.readouterr().out


def test_a_meter_of_the_installers_own_is_found_beside_the_configuration(file, capsys):
    folder = file.parent / "mine"
    folder.mkdir()
    assert main(["profile", "new", "corner_shop", "--into", str(folder)]) == Exit.OK
    text = file.read_text().replace('profile = "eastron_sdm630"', 'profile = "corner_shop"')
    file.write_text(text)
    assert main(["config", "validate", str(file)]) == Exit.BAD_SETTING
    assert "'corner_shop': is not a known meter" in capsys.readouterr().err
    file.write_text('profiles = "mine"\n' + text)
    assert main(["config", "validate", str(file)]) == Exit.OK
    assert f"It looks for the profiles of meters in {folder} first." in capsys.readouterr().out


def test_the_example_is_printed_as_it_stands(capsys):
    assert main(["config", "example"]) == Exit.OK
    assert capsys.readouterr().out == EXAMPLE.read_text()


def test_the_simulators_example_has_the_meters_of_the_example():
    simulated = {(one.name, one.unit, one.profile) for one in load_scenario(SIMULATOR_EXAMPLE).meters}
    assert {(one.name, one.unit, one.profile) for one in load(EXAMPLE.read_text()).meters} <= simulated


def test_the_example_still_validates_with_every_section_switched_on():
    lines = EXAMPLE.read_text().splitlines()
    switched_on = [re.sub(r"^# (\[\w+\]|\w+ = .*)$", r"\1", line) for line in lines]
    config = load("\n".join(switched_on))
    assert config.sync
    assert config.update
    assert config.clock


def test_the_example_shows_every_setting():
    classes = [one for one in vars(gateway_config).values() if isinstance(one, type)]
    sections = [one for one in classes if issubclass(one, msgspec.Struct) and one is not gateway_config.Config]
    wanted = {name for section in sections for name in section.__struct_fields__}
    assert {"gateway_id", "unit", "url", "origin"} <= wanted
    shown = set(re.findall(r"^(?:# )?(\w+) = ", EXAMPLE.read_text(), re.MULTILINE))
    assert wanted - shown == set()


def test_the_example_shows_the_defaults():
    shown = load(EXAMPLE.read_text())
    assert shown.record == gateway_config.RecordConfig()
    assert shown.store == gateway_config.StoreConfig()
    assert shown.model == gateway_config.ModelConfig()
    assert shown.page == gateway_config.PageConfig()


def test_json_holds_the_sentences_and_the_whole_configuration(file, capsys):
    assert main(["config", "validate", str(file), "--json"]) == Exit.OK
    answer = msgspec.json.decode(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["config"]["meter"][0]["profile"] == "eastron_sdm630"
    assert len(answer["sentences"]) >= 7


MISTAKES = {
    "an unknown key": ("poll_period_s = 1", "pol_period_s = 1", "record.pol_period_s = 1", "remove it"),
    "a bad unit": ("unit = 1", "unit = 0", "meter[0].unit = 0", "from 1 to 247"),
    "a bus that is not there": ('bus = "cabinet"', 'bus = "shed"', "meter.main.bus = 'shed'", "use one of: cabinet"),
    "a profile that is not there": ("eastron_sdm630", "nobody_x1", "meter.main.profile = 'nobody_x1'", ""),
    "an unknown zone": ("Africa/Lagos", "Africa/Lagoss", "site.time_zone", "give an IANA name"),
    "no TOML": ("[site]", "[site", "is not TOML", "correct that line"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_one_sentence_and_exit_code_2(mistake: str, file, capsys):
    good, bad, names, next_step = MISTAKES[mistake]
    file.write_text(EXAMPLE.read_text().replace(good, bad))
    assert main(["config", "validate", str(file)]) == Exit.BAD_SETTING
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert names in err
    assert next_step in err


def test_a_mistake_as_json_names_its_parts(file, capsys):
    file.write_text(EXAMPLE.read_text().replace("unit = 1\n", "unit = 300\n"))
    assert main(["config", "validate", str(file), "--json"]) == Exit.BAD_SETTING
    answer = msgspec.json.decode(capsys.readouterr().out)
    assert answer.keys() == {"ok", "field", "value", "problem", "next_step"}
    assert (answer["ok"], answer["field"], answer["value"]) == (False, "meter[0].unit", "300")


UPDATE = '[update]\nurl = "https://models.example"\nroot = "{root}"\n'


def test_a_root_that_cannot_be_read_is_refused(file, tmp_path, capsys):
    (tmp_path / "root.json").write_text("{}")
    good = file.read_text()
    for root, problem in (("none.json", "No such file"), (".", "Is a directory"), ("root.json/x", "Not a directory")):
        file.write_text(good + UPDATE.format(root=tmp_path / root))
        assert main(["config", "validate", str(file)]) == Exit.BAD_SETTING
        assert f"update.root = {tmp_path / root}: cannot be read ({problem}" in capsys.readouterr().err
    file.write_text(good + UPDATE.format(root=tmp_path / "root.json"))
    assert main(["config", "validate", str(file)]) == Exit.OK


def test_a_store_that_lies_in_a_file_is_refused(file, tmp_path, capsys):
    (tmp_path / "plain").write_text("")
    good = file.read_text()
    for folder in ("plain", "plain/below"):
        file.write_text(good.replace("/var/lib/smartwatts", str(tmp_path / folder)))
        assert main(["config", "validate", str(file)]) == Exit.BAD_SETTING
        out, err = capsys.readouterr()
        assert out == ""
        assert f"store.folder = {tmp_path / folder}: cannot be made, {tmp_path / 'plain'} is a file" in err
    file.write_text(good.replace("/var/lib/smartwatts", "x" * 300))
    assert main(["config", "validate", str(file)]) == Exit.BAD_SETTING
    assert "cannot be used (File name too long)" in capsys.readouterr().err


def test_a_port_that_no_line_has_is_refused_as_the_gateway_would(file, capsys):
    file.write_text(file.read_text().replace(":502", ":99999"))
    assert main(["config", "validate", str(file)]) == Exit.BAD_SETTING
    assert "bus.cabinet.url" in capsys.readouterr().err


def test_relative_paths_are_shown_where_they_end(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root.json").write_text("{}")
    file.write_text(file.read_text().replace("/var/lib/smartwatts", "data") + UPDATE.format(root="root.json"))
    assert main(["config", "validate", str(file)]) == Exit.OK
    out = capsys.readouterr().out
    assert f"of every minute in {tmp_path}/data;" in out
    assert f"trusts what {tmp_path}/root.json trusts" in out
    assert main(["config", "validate", str(file), "--json"]) == Exit.OK
    assert msgspec.json.decode(capsys.readouterr().out)["config"]["store"]["folder"] == f"{tmp_path}/data"


def test_what_works_but_looks_like_a_slip_is_listed_under_mind(file, capsys):
    assert main(["config", "validate", str(file)]) == Exit.OK
    assert "mind:" not in capsys.readouterr().out
    file.write_text(re.sub(r"rated_power_w = [0-9.]+", "rated_power_w = 22", file.read_text()))
    assert main(["config", "validate", str(file)]) == Exit.OK
    said, _, minded = capsys.readouterr().out.partition("\nmind:\n")
    assert "This is the gateway" in said
    assert "  meter.main.rated_power_w = 22: less than any main breaker" in minded
    assert main(["config", "validate", str(file), "--json"]) == Exit.OK
    assert len(msgspec.json.decode(capsys.readouterr().out)["mind"]) >= 1


def test_files_that_are_no_configuration_are_refused_by_name(tmp_path, capsys):
    wrong = {
        "missing": None,
        "binary": b"\xff\xfe\x00",
        "huge": b"#" * (CONFIG_BYTES_MAX + 1),
    }
    for name, data in wrong.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        assert main(["config", "validate", str(tmp_path / name)]) == Exit.BAD_SETTING
        assert f"config = {tmp_path / name}: " in capsys.readouterr().err
    assert main(["config", "validate", str(tmp_path)]) == Exit.BAD_SETTING
    assert "Is a directory" in capsys.readouterr().err
