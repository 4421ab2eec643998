"""Maps of recordings: found by name, and refused with a reason."""

from pathlib import Path

import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.replay_map import CHECKOUT_MAPS, find_map, load_map

GOOD = """
source = "made up"
cadence_s = 900
rated_power_w = 5000
[time]
column = "at"
stamps = "start"
[value]
column = "p"
unit = "W"
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "x.map.toml"
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        load_map(path)
    return str(caught.value)


def test_a_map_beside_the_recording_comes_first(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "home.map.toml").write_text(GOOD)
    recording = tmp_path / "home.csv.gz"
    assert find_map(recording, [tmp_path / "elsewhere"]) == tmp_path / "elsewhere" / "home.map.toml"
    (tmp_path / "home.map.toml").write_text(GOOD)
    assert find_map(recording, [tmp_path / "elsewhere"]) == tmp_path / "home.map.toml"


def test_a_recording_without_a_map_says_which_file_to_write(tmp_path):
    with pytest.raises(SettingError, match=r"home\.map\.toml.*MAP="):
        find_map(tmp_path / "home.csv", [tmp_path])


@pytest.mark.parametrize("path", sorted(CHECKOUT_MAPS.glob("*.map.toml")), ids=lambda path: path.name)
def test_every_ready_map_is_valid(path):
    assert load_map(path).source


def test_a_map_may_name_what_the_panels_gave(tmp_path):
    (tmp_path / "x.map.toml").write_text(GOOD + '[production]\ncolumn = "sun"\nunit = "kW"\n')
    production = load_map(tmp_path / "x.map.toml").production
    assert production is not None
    assert (production.column, production.unit) == ("sun", "kW")
    assert "production.watts_per_unit" in refused(
        tmp_path, GOOD + '[production]\ncolumn = "sun"\nunit = "relative"\n'
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingError, match="cannot be read"):
        load_map(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("cadence_s = 900", "cadence_s = "), "not TOML"),
        (
            ("cadence_s = 900", "cadence_s = 0"),
            "x.map.toml: cadence_s = 0: is out of range; write a whole number from 1 to",
        ),
        (("cadence_s = 900", "cadence = 900"), "cadence"),
        (
            ('stamps = "start"', 'stamps = "middle"'),
            'time.stamps = \'middle\': is none of the choices; use one of: "end", "start"',
        ),
        (
            ('unit = "W"', 'unit = "MWh"'),
            'x.map.toml: value.unit = \'MWh\': is none of the choices; use one of: "W", "kW", "kWh", "relative"',
        ),
        (('unit = "W"', 'unit = "relative"'), "watts_per_unit"),
        (('unit = "W"', 'unit = "W"\nwatts_per_unit = 2'), "watts_per_unit"),
        (("rated_power_w = 5000", ""), "x.map.toml: rated_power_w = (missing): is needed; add it: a number above 0"),
        (('column = "p"', 'column = ""'), "value.column = '': is no name of a column; write"),
        (("cadence_s = 900", "cadence_s = " + "9" * 5_000), "x.map.toml: holds a number"),
        (("cadence_s = 900", "cadence_s = " + "[" * 20_000), "x.map.toml: is nested too deeply"),
        (("cadence_s = 900", "#" * 70_000), "x.map.toml: is larger than 65536 bytes"),
    ],
)
def test_a_wrong_map_is_refused_with_the_key(tmp_path, change, says):
    assert says in refused(tmp_path, GOOD.replace(*change))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "x.map.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match="not UTF-8"):
        load_map(path)
