from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import MapFile, RegisterType, read_map_tree
from firmware_bridge.settings import convert

MAP = (resources.files("firmware_bridge") / "maps" / "carlo_gavazzi_em340.toml").read_text()


def read(text: str) -> MapFile:
    return convert(read_map_tree(text, "x.toml"), MapFile, "x.toml: ")


MISTAKES = {
    "unknown key": ("kind =", "kinds =", "x.toml: kinds = 'meter': is not a setting; remove it"),
    "unknown key inside": ("parity =", "pariti =", "x.toml: serial_defaults.pariti = 'N': is not a setting"),
    "missing key": ("schema = 1\n", "", "x.toml: schema = (missing): is needed; add it: one of: 1"),
    "newer schema": ("schema = 1", "schema = 2", "x.toml: schema = 2: is none of the choices; use one of: 1"),
    "word order": (
        '"low_first"',
        '"CDAB"',
        "word_order = 'CDAB': is none of the choices; use one of: \"high_first\", ",
    ),
    "too long a read": ("max_read = 50", "max_read = 126", "max_read = 126: is out of range; write a whole number"),
    "no source": (
        "sources = [",
        "sources = []\nserial_notes = [",
        "x.toml: sources = []: has 0 entries; write it in brackets",
    ),
    "speed": ("baud = 9600", "baud = 96", "x.toml: serial_defaults.baud = 96: is out of range; write a whole number"),
    "not TOML": ("schema = 1", "schema == 1", "x.toml = text: is not TOML: "),
    "a number too long": ("phases = 3", "phases = " + "3" * 5000, "x.toml = text: holds a number of thousands of"),
    "nested too deep": ("phases = 3", "phases = " + "[" * 20_000, "x.toml = text: is nested too deeply"),
    "a file too large": ("schema = 1", "#" * 70_000, "characters: is more than 65536; shorten it"),
    "a long remark": ('vendor = "', 'vendor = "' + "V" * 401, "characters; write 1 to 400 of them"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_file_key_and_remedy(name: str):
    good, bad, said = MISTAKES[name]
    with pytest.raises(SettingError) as caught:
        read(MAP.replace(good, bad, 1))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=200))
def test_any_text_is_a_map_or_a_named_mistake(text: str):
    said = "x.toml"
    try:
        read(text)
    except SettingError as error:
        said = str(error)
    assert said.startswith("x.toml")


@pytest.mark.parametrize("kind", RegisterType)
def test_a_type_knows_its_size(kind: RegisterType):
    assert kind.bits == kind.words * 16 == int(kind.value[-2:])
