import pytest

from firmware_bridge.catalog import load_profile, map_text, profile_names
from firmware_bridge.errors import NotFoundError, SettingError
from firmware_bridge.map_file import WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.poll_plan import TCP, plan
from firmware_bridge.profile import Profile
from firmware_bridge.read_limits import unreadable

MODBUS = [name for name in profile_names() if load_profile(name).file.protocol == "modbus"]
SERIAL_TRANSPORTS = {"rtu", "rtu_over_tcp", "serial"}
# The 16 devices whose facts were gathered, SunSpec being one of them.
GATHERED = {
    "abb_b23",
    "carlo_gavazzi_em24_e1",
    "carlo_gavazzi_em24_rtu",
    "carlo_gavazzi_em340",
    "chint_ddsu666",
    "chint_dtsu666",
    "deye_hybrid_3p",
    "eastron_sdm120",
    "eastron_sdm630",
    "growatt_hybrid_sph",
    "huawei_sun2000",
    "janitza_umg96rm_e",
    "schneider_iem3155",
    "shelly_pro_3em",
    "sunspec_inverter",
    "victron_gx",
}


def measurands(profile: Profile) -> set[Measurand]:
    return {one.measurand for one in (*profile.registers, *profile.fields)}


@pytest.mark.parametrize("name", profile_names())
def test_every_map_is_a_profile(name: str):
    profile = load_profile(name)
    assert profile.name == profile.file.key == name
    assert (Measurand.ACTIVE_POWER_W in measurands(profile)) == (profile.file.kind != "sensor")


def test_the_gathered_devices_are_there_and_a_sensor():
    assert set(MODBUS) >= GATHERED
    assert "sensor" in {load_profile(name).file.kind for name in MODBUS}


def test_both_word_orders_are_there():
    assert {load_profile(name).file.word_order for name in MODBUS} == set(WordOrder)


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_says_how_its_device_leaves_the_factory(name: str):
    file = load_profile(name).file
    assert file.transport
    has_serial = file.serial_defaults is not None and SERIAL_TRANSPORTS & set(file.transport)
    assert has_serial or (file.tcp_defaults is not None and "tcp" in file.transport)


@pytest.mark.parametrize("name", MODBUS)
def test_every_plan_is_within_the_limits_of_its_device(name: str):
    profile = load_profile(name)
    blocks = plan(profile, TCP)
    assert {one for block in blocks for one in block.registers} == set(profile.registers)
    for block in blocks:
        assert unreadable(profile.file, block.address, block.address + block.count) is None


@pytest.mark.parametrize("name", MODBUS)
def test_most_profiles_can_be_told_from_each_other_and_their_devices_too(name: str):
    file = load_profile(name).file
    names = {identity.name for identity in file.identify}
    nameless = {"janitza_umg96rm_e"}
    without_number = {"chint_ddsu666", "chint_dtsu666", "xy_md02", *nameless}
    assert ("serial_number" in names) == (name not in without_number)
    assert bool(names) == (name not in nameless)


def test_power_is_positive_when_it_comes_from_the_grid_and_charges_the_battery():
    turned = {
        (name, str(one.measurand)) for name in MODBUS for one in load_profile(name).registers if one.numerator < 0
    }
    assert turned == {
        ("deye_hybrid_3p", "battery_power_w"),
        ("deye_hybrid_3p_hv", "battery_power_w"),
        ("huawei_sun2000", "active_power_w"),
        ("sunspec_inverter", "active_power_w"),
        ("sunspec_inverter_float", "active_power_w"),
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sdm630", r"use one of: eastron_sdm630, .*or another of the \d+ that `smartwatts-provision profile list`"),
        ("EASTRON_SDM630", "use one of: eastron_sdm630, "),
        ("eastron_sdm630.toml", "use one of: eastron_sdm630, "),
        ("../maps/eastron_sdm630", "use one of: eastron_sdm630, "),
        ("em24", "use one of: carlo_gavazzi_em24_e1, carlo_gavazzi_em24_rtu, "),
        ("", r"use one of the \d+ that `smartwatts-provision profile list` shows"),
        ("zz" * 1000, r"use one of the \d+ that"),
    ],
)
def test_an_unknown_name_is_answered_with_those_most_like_it(name: str, said: str):
    with pytest.raises(NotFoundError, match=rf"is not a known meter; {said}"):
        load_profile(name)


@pytest.fixture
def folder(tmp_path):
    text = map_text("eastron_sdm630").replace('key = "eastron_sdm630"', 'key = "corner_shop"')
    (tmp_path / "corner_shop.toml").write_text(text)
    return tmp_path


def test_a_folder_of_the_installer_is_looked_into_first(folder):
    (folder / "abb_b23.toml").write_text(map_text("abb_b23").replace('vendor = "ABB"', 'vendor = "Ours"'))
    assert load_profile("corner_shop", [folder]).name == "corner_shop"
    assert load_profile("abb_b23", [folder]).file.vendor == "Ours"
    assert load_profile("abb_b23").file.vendor == "ABB"
    assert load_profile("eastron_sdm630", [folder]).name == "eastron_sdm630"
    assert set(profile_names([folder])) == {"corner_shop", *profile_names()}
    with pytest.raises(NotFoundError, match="use one of: corner_shop, "):
        load_profile("corner-shop", [folder])


def test_a_wrong_file_in_a_folder_is_named(folder):
    (folder / "broken.toml").write_text("schema = ")
    with pytest.raises(SettingError, match=r"^broken\.toml = text: is not TOML"):
        load_profile("broken", [folder])
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"bytes\.toml: cannot be read \(it is not UTF-8 text\)"):
        load_profile("bytes", [folder])
    (folder / "huge.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(SettingError, match=r"huge\.toml: is larger than"):
        load_profile("huge", [folder])
    (folder / "sub.toml").mkdir()
    with pytest.raises(SettingError, match=r"sub\.toml: cannot be read"):
        load_profile("sub", [folder])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"^profiles = .*missing: cannot be read \(No such file"):
        load_profile("eastron_sdm630", [tmp_path / "missing"])
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"^profiles = .*file: cannot be read \(Not a directory"):
        profile_names([tmp_path / "file"])
