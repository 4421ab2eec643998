import pytest

from firmware_bridge.catalog import load_profile, profile_names
from provisioning.profile_sheet import columns, facts, sheet


def line_of(name: str, start: str) -> list[str]:
    return next(line for line in sheet(load_profile(name)).splitlines() if line.startswith(start)).split()


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_fits_on_a_sheet(name: str):
    profile = load_profile(name)
    text = sheet(profile)
    assert text.startswith(f"{name}: {profile.file.vendor} ")
    for one in (*profile.registers, *profile.fields):
        assert f"\n{one.measurand} " in text
    for line in (*profile.file.sources, *profile.file.quirks):
        assert line in text


def test_a_register_is_told_with_its_address_in_both_ways():
    row = line_of("eastron_sdm630", "frequency_hz")
    assert row == ["frequency_hz", "0x0046", "70", "4", "f32", "1", "Hz", "sweep", "high"]


def test_sums_signs_scale_registers_and_choices_are_told():
    assert line_of("growatt_hybrid_sph", "battery_power_w")[:6] == [
        "battery_power_w", "0x03f3", "-", "0x3f1", "1011", "4",
    ]  # fmt: skip
    assert line_of("deye_hybrid_3p", "battery_power_w")[4:7] == ["s16", "-1", "W"]
    assert line_of("sunspec_inverter", "active_power_w")[4:9] == ["s16", "-1", "x", "10^[15]", "W"]
    assert "  operating_state: 1 = off; 2 = sleeping; " in sheet(load_profile("sunspec_inverter"))


def test_limits_and_requests_are_told():
    text = sheet(load_profile("growatt_hybrid_sph"))
    assert "never across 125, 1000, 1125; 1 s between requests" in text
    assert "requests: 2 for each sweep, 1 now and then" in text
    assert "even addresses and counts" in sheet(load_profile("eastron_sdm120"))
    assert "1 s after connecting" in sheet(load_profile("huawei_sun2000"))


def test_what_tells_a_model_from_others_is_told():
    text = sheet(load_profile("carlo_gavazzi_em340"))
    assert "  device_code: EM330, EM340, ET330 or ET340, EM340 of the S27 variant\n" in text
    assert "  serial_number: (as it reads)\n" in text


def test_the_facts_for_a_program_are_those_of_the_file_and_the_requests():
    told = facts(load_profile("xy_md02"))
    assert (told["name"], told["kind"], told["max_read"]) == ("xy_md02", "sensor", 2)
    assert told["registers"]["temperature_c"]["address"] == 1
    assert told["requests"] == [
        {
            "function": 4,
            "address": 1,
            "count": 2,
            "period_s": 0.0,
            "measurands": ["temperature_c", "relative_humidity"],
        }
    ]
    assert facts(load_profile("dsmr_p1"))["requests"] == []


def test_columns_are_as_wide_as_their_widest():
    assert columns([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]
