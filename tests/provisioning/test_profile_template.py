import re

import msgspec
import pytest

from firmware_bridge.catalog import load_profile, map_text, profile_names
from firmware_bridge.map_file import FieldEntry, Identity, MapFile, RegisterEntry
from firmware_bridge.map_parser import check_profile, parse_profile
from provisioning.profile_template import copied, empty


def test_an_empty_profile_can_be_used_as_it_stands():
    profile = parse_profile(empty("shop"), "shop")
    assert (profile.file.key, profile.file.confidence) == ("shop", "low")
    assert len(profile.registers) == 4


def test_an_empty_profile_shows_every_key():
    wanted = {name for kind in (MapFile, Identity, RegisterEntry) for name in kind.__struct_fields__}
    shown = set(re.findall(r"\b(\w+) = ", empty("shop"))) | set(re.findall(r"\[+(\w+)\]", empty("shop")))
    assert wanted - shown == set()
    assert set(FieldEntry.__struct_fields__) - wanted == {"code"}


def test_an_empty_profile_shows_the_defaults():
    lines = [line for line in empty("shop").splitlines() if re.match(r"# \w+ = ", line)]
    shown = {line.split(" = ")[0].removeprefix("# ") for line in lines}
    defaults = {one.name: one.default for one in msgspec.structs.fields(MapFile)}
    for key in ("protocol", "sign", "even", "pause_s", "connect_pause_s", "stale_s", "byte_swapped_text"):
        text = next(line for line in lines if line.startswith(f"# {key} = "))
        assert key in shown
        assert text.split(" = ")[1].strip('"') in (str(defaults[key]), str(defaults[key]).lower())


def test_an_empty_profile_with_every_key_switched_on_is_right():
    text = re.sub(r"^# (?!protocol|sunspec|unit)(\[\[identify\]\]|\w+ = )", r"\1", empty("shop"), flags=re.MULTILINE)
    profile, mistakes = check_profile(re.sub(r"^unit = 100.*$", "", text, flags=re.MULTILINE), "shop")
    assert mistakes == []
    assert [one.name for one in profile.file.identify] == ["device_code", "model", "unit_address", "serial_number"]


@pytest.mark.parametrize("source", profile_names())
def test_a_copy_is_the_same_meter_under_another_name_and_not_yet_sure(source: str):
    copy = parse_profile(copied(map_text(source), "mine", source), "mine")
    original = load_profile(source)
    # in letters, for NaN among the invalid values is not equal to itself
    assert repr((copy.registers, copy.fields)) == repr((original.registers, original.fields))
    assert copy.file == msgspec.structs.replace(original.file, key="mine", confidence="low")
