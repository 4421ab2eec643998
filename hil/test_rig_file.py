"""A rig's file that cannot be is told in one sentence."""

import pytest
from rig_file import bus_names, open_rig, read_rig_file

from firmware_bridge.errors import SettingError


def test_buses_are_named_in_the_order_of_the_file(tmp_path):
    file = tmp_path / "rig.toml"
    file.write_text('kind = "virtual"\n[[bus]]\nname = "b"\n[[bus]]\nname = "a"\n')
    assert bus_names(file) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind = ", "RIG = .*: cannot be read"),
        ("", "kind = None: is no rig of ours; use one of: virtual, or write hil/KIND_rig.py"),
        ('kind = "../rig_file"', "is no rig of ours"),
    ],
)
def test_a_file_of_no_rig_is_refused(tmp_path, text, says):
    (tmp_path / "rig.toml").write_text(text)
    with pytest.raises(SettingError, match=says):
        read_rig_file(tmp_path / "rig.toml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingError, match="name the TOML file of a rig"):
        read_rig_file(tmp_path / "rig.toml")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "meter = .*: is needed"),
        ('[[meter]]\nname = "m"\nunit = 300\nprofile = "x"\n[[bus]]\nname = "b"\nkind = "tcp"\n', "unit = 300"),
    ],
)
def test_a_virtual_rig_that_cannot_stand_says_why(tmp_path, text, says):
    (tmp_path / "rig.toml").write_text(f'kind = "virtual"\n{text}')
    with pytest.raises(SettingError, match=says):
        open_rig(tmp_path / "rig.toml")
