import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import WordOrder
from firmware_bridge.measurand import Measurand


@pytest.mark.parametrize("name", profile_names())
def test_every_map_is_a_profile(name: str):
    profile = load_profile(name)
    assert profile.name == name
    measurands = {one.measurand for one in (*profile.registers, *profile.fields)}
    assert Measurand.ACTIVE_POWER_W in measurands or (profile.file.kind == "sensor" and measurands)


def test_both_word_orders_are_there():
    assert {load_profile(name).file.word_order for name in profile_names()} == set(WordOrder)


@pytest.mark.parametrize("name", ["sdm630", "", "../maps/eastron_sdm630", "eastron_sdm630.toml", "EASTRON_SDM630"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str):
    with pytest.raises(SettingError, match=r"is not a known meter; use one of: carlo_gavazzi_em340, eastron_sdm630"):
        load_profile(name)
