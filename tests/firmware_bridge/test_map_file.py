from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import RegisterType, read_map_file

MAP = (resources.files("firmware_bridge") / "maps" / "carlo_gavazzi_em340.toml").read_text()

MISTAKES = {
    "unknown key": ("kind =", "kinds =", "x.toml: kinds = 'meter': is not a key of a map; remove it"),
    "unknown key inside": ("parity =", "pariti =", "x.toml: serial_defaults.pariti = 'N': is not a key of a map"),
    "missing key": ("schema = 1\n", "", "x.toml: schema = None: is missing; add it"),
    "newer schema": ("schema = 1", "schema = 2", "x.toml: schema = 2: invalid enum value 2; correct it"),
    "word order": ('"low_first"', '"CDAB"', "x.toml: word_order = 'CDAB': invalid enum value"),
    "too long a read": ("max_read = 50", "max_read = 126", "x.toml: max_read = 126: expected `int` <= 125"),
    "no source": ("sources = [", "sources = []\nother = [", "x.toml: sources = []: expected `array` of length >= 1"),
    "speed": ("baud = 9600", "baud = 96", "x.toml: serial_defaults.baud = 96: expected `int` >= 300"),
    "sentinel of what": ("s32 = [", "s33 = [", "x.toml: invalid = {'s33': [2147483647]}: invalid enum value 's33'"),
    "not TOML": ("schema = 1", "schema == 1", "x.toml = text: is not TOML: "),
    "a number too long": ("phases = 3", "phases = " + "3" * 5000, "x.toml = text: is not TOML: "),
    "nested too deep": ("phases = 3", "phases = " + "[" * 20_000, "x.toml = text: is not TOML: "),
    "a file too large": ("schema = 1", "#" * 70_000, "characters: is more than 65536; shorten it"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_file_key_and_remedy(name: str):
    good, bad, said = MISTAKES[name]
    with pytest.raises(SettingError) as caught:
        read_map_file(MAP.replace(good, bad, 1), "x.toml")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=200))
def test_any_text_is_a_map_or_a_named_mistake(text: str):
    said = "x.toml"
    try:
        read_map_file(text, "x.toml")
    except SettingError as error:
        said = str(error)
    assert said.startswith("x.toml")


@pytest.mark.parametrize("kind", RegisterType)
def test_a_type_knows_its_size(kind: RegisterType):
    assert kind.bits == kind.words * 16 == int(kind.value[-2:])
