"""A scenario made real: meters, sources and clock."""

import pytest

from firmware_bridge.clock import ScaledClock, SystemClock
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.frames import Read
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage

REPLAY = """
[replay]
file = "home.csv"
[[meter]]
name = "grid"
unit = 1
profile = "eastron_sdm630"
quantity = "replay"
"""
MAP = """
source = "test"
cadence_s = 900
rated_power_w = 5000
[time]
column = "at"
stamps = "end"
[value]
column = "kWh"
unit = "kWh"
"""
BEGIN_US = 1_767_571_200_000_000


@pytest.fixture
def recording(tmp_path):
    (tmp_path / "home.csv").write_text("at,kWh\n2026-01-05 00:15,0.25\n2026-01-05 00:30,0.5\n")
    (tmp_path / "home.map.toml").write_text(MAP)
    return tmp_path


def power_w(stage, at_us):
    return stage.meters[0].answer(Read(4, 0x34, 2), at_us).values[Measurand.ACTIVE_POWER_W]


def test_a_recording_is_replayed_at_its_own_dates_on_a_grid_that_never_fails(recording):
    stage = set_stage(parse_scenario(REPLAY), recording)
    assert stage.start_us == BEGIN_US
    assert power_w(stage, BEGIN_US) == 1000
    assert power_w(stage, BEGIN_US + 900_000_000) == 2000


def test_a_recording_can_begin_at_a_given_instant_with_a_given_map(recording):
    (recording / "home.map.toml").rename(recording / "other.toml")
    text = REPLAY.replace('"home.csv"', '"home.csv"\nmap = "other.toml"\nbegin = 2026-06-01T00:00:00Z')
    stage = set_stage(parse_scenario(text), recording)
    assert power_w(stage, stage.start_us + 900_000_000) == 2000
    assert stage.start_us > BEGIN_US


def test_an_unreadable_recording_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"home\.map\.toml"):
        set_stage(parse_scenario(REPLAY), tmp_path)


def test_a_spike_must_name_a_register_that_its_meter_shows(tmp_path, scenario_text):
    text = scenario_text.replace('register = "active_power_w"', 'register = "voltage_v"')
    with pytest.raises(SettingError, match="is not shown by grid"):
        set_stage(parse_scenario(text), tmp_path)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("roll_over", "grid has no such counter that begins again"),
        ("sentinel", "grid has no raw value there that means none"),
        ("wrong_clock", "grid does not tell the time"),
    ],
)
def test_a_fault_that_cannot_befall_its_meter_is_refused(tmp_path, scenario_text, kind, says):
    extra = "shift_s = 60" if kind == "wrong_clock" else ""
    text = f'{scenario_text}\n[[fault]]\nkind = "{kind}"\nmeter = "grid"\nat = 0\nfor_s = 9\n{extra}\n'
    with pytest.raises(SettingError, match=says):
        set_stage(parse_scenario(text), tmp_path)


HYBRID = """
[site]
start = 2026-06-05T00:00:00Z
outages_per_week = 0
{}
[[meter]]
name = "hybrid"
unit = 1
profile = "{}"
quantity = "{}"
"""


@pytest.mark.parametrize(
    ("battery", "profile", "quantity", "is_there"),
    [
        ("", "deye_hybrid_3p", "grid", True),
        ("", "eastron_sdm630", "battery", True),
        ("", "eastron_sdm630", "grid", False),
        ("battery_wh = 0", "deye_hybrid_3p", "grid", False),
        ("battery_wh = 5000", "eastron_sdm630", "grid", True),
    ],
)
def test_a_home_has_a_battery_where_it_says_so_or_shows_one(tmp_path, battery, profile, quantity, is_there):
    stage = set_stage(parse_scenario(HYBRID.format(battery, profile, quantity)), tmp_path)
    without = set_stage(parse_scenario(HYBRID.format("battery_wh = 0", profile, quantity)), tmp_path)
    at_s = stage.start_us // 1_000_000 + 20 * 3600
    power = [one.meters[0].values(at_s)[Measurand.ACTIVE_POWER_W] for one in (stage, without)]
    assert (power[0] != power[1]) == is_there


def test_an_unknown_profile_is_named(tmp_path, scenario_text):
    with pytest.raises(SettingError, match="'sdm'"):
        set_stage(parse_scenario(scenario_text.replace("eastron_sdm630", "sdm")), tmp_path)


def test_without_an_origin_the_time_is_the_machines(stage):
    assert isinstance(stage.clock(None), SystemClock)


def test_an_origin_is_made_once_and_then_shared(stage, tmp_path):
    origin = tmp_path / "origin"
    first = stage.clock(origin)
    assert first.rate == 1000
    assert first.utc_us() >= stage.start_us
    earlier = ScaledClock.create(tmp_path / "given", start_us=0, rate=1.0)
    assert abs(stage.clock(tmp_path / "given").utc_us() - earlier.utc_us()) < 60_000_000


def test_an_origin_that_cannot_be_made_is_named(stage, tmp_path):
    with pytest.raises(SettingError, match="--clock"):
        stage.clock(tmp_path / "none" / "origin")
