"""Scenarios: strict, and refused with field, value and next step."""

import re
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator import scenario as settings_of
from firmware_bridge.simulator.faults import KINDS, Silent, Spike, Stuck
from firmware_bridge.simulator.scenario import EXAMPLE, faults_of, instant_us, load_scenario, parse_scenario
from firmware_bridge.simulator.stage import set_stage

METER = '[[meter]]\nname = "grid"\nunit = 1\nprofile = "eastron_sdm630"\nquantity = "grid"\n'
FAULT = '[[fault]]\nkind = "stuck"\nmeter = "grid"\nat = 60\nfor_s = 30\n'
START_US = UtcUs(1_767_571_200_000_000)


def refusal(text: str) -> str:
    with pytest.raises(SettingError) as caught:
        faults_of(parse_scenario(text), START_US)
    return str(caught.value)


def test_a_scenario_needs_no_more_than_a_meter():
    scenario = parse_scenario(METER)
    assert scenario.site.seed == 1
    assert scenario.site.rate == 1
    assert faults_of(scenario, START_US) == []


def test_faults_get_their_instants(scenario_text):
    spike, stuck, silent = faults_of(parse_scenario(scenario_text), START_US)
    assert isinstance(spike, Spike)
    assert isinstance(stuck, Stuck)
    assert isinstance(silent, Silent)
    assert (spike.from_us, spike.until_us) == (START_US + 3_600_000_000, START_US + 3_720_000_000)
    assert stuck.from_us == START_US + 12 * 3_600_000_000
    assert silent.from_us == START_US + 6 * 3_600_000_000


@pytest.mark.parametrize(
    "text", ["2026-01-05T00:00:00Z", "2026-01-05", "2026-01-05T01:00+01:00", "2026-01-05 00:00:00"]
)
def test_an_instant_without_a_zone_is_utc(text):
    assert instant_us("x", text) == START_US


def test_an_instant_that_is_none_is_refused():
    with pytest.raises(SettingError, match=r"fault\[0\]\.at = 'noon'"):
        faults_of(parse_scenario(METER + FAULT.replace("60", '"noon"')), START_US)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "meter"),
        ("meter = []", "meter"),
        ("nonsense", "not TOML"),
        (METER + "[sight]\nseed = 1", "sight"),
        (METER + "[site]\nsead = 1", "sead"),
        (METER + "[site]\nseed = -1", "scenario.site.seed"),
        (METER + "[site]\nrate = 0", "scenario.site.rate"),
        (METER + '[site]\ntime_zone = "Mars"', "Mars"),
        (
            METER.replace("unit = 1", "unit = 248"),
            "scenario.meter[0].unit = 248: is out of range; write a whole number from 1 to 247",
        ),
        (
            METER.replace('"grid"\n', '"wind"\n'),
            "scenario.meter[0].quantity = 'wind': is none of the choices; use one of: ",
        ),
        (
            METER.replace('name = "grid"', 'name = "The Grid"'),
            "scenario.meter[0].name = 'The Grid': is no name of small letters",
        ),
        (METER + METER, "meter.name = 'grid': is given twice"),
        (METER + METER.replace('name = "grid"', 'name = "b"'), "meter.unit = 1: is given twice"),
        (METER.replace('quantity = "grid"', 'quantity = "replay"'), "add [replay] with file"),
        (METER + '[replay]\nfile = "x.csv"', "is shown by no meter"),
        (METER + FAULT.replace("stuck", "lazy"), "scenario.fault[0].kind"),
        (METER + FAULT.replace('meter = "grid"', 'meter = "b"'), "fault[0].meter = 'b'"),
        (METER + FAULT.replace("for_s = 30", "for_s = 0"), "scenario.fault[0].for_s"),
        (METER + FAULT + "value = 3\n", "fault[0] = 'stuck': has no value; remove it"),
        (METER + FAULT.replace("stuck", "spike"), "needs register"),
        (
            METER + FAULT.replace("stuck", "wrong_clock"),
            "fault[0] = 'wrong_clock': needs shift_s; add what is missing",
        ),
        (METER + FAULT.replace("stuck", "exception") + "code = 0", "scenario.fault[0].code = 0: is out of range"),
        (
            METER + FAULT.replace("stuck", "zero_dip") + "code = 6\nadd = 2",
            "'zero_dip': has no add or code; remove it",
        ),
        (METER + FAULT.replace("stuck", "spike") + 'register = "voltage_v"\n', "one of value and add"),
        (
            METER + FAULT.replace("stuck", "spike") + 'register = "volts"\nadd = 1\n',
            "scenario.fault[0].register = 'volts': is none of the choices",
        ),
        (METER + FAULT.replace("at = 60", "at = []"), 'at = []: is no instant; write "2026-01-05T12:00:00Z" or 3600'),
        ("a = " + "1" * 5_000, "scenario = text: holds a number"),
        ("a = " + "[" * 100_000, "scenario = text: is nested too deeply"),
        ("a" + ".a" * 5_000 + " = 1", "scenario = text: is nested too deeply"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_field(text, says):
    assert says in refusal(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for content in (None, b"\xff\xfe", b"#" * 3_000_000):
        path = tmp_path / "s.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SettingError, match="--scenario"):
            load_scenario(path)


def test_the_example_can_be_set_up(tmp_path):
    stage = set_stage(load_scenario(EXAMPLE), tmp_path)
    assert [meter.name for meter in stage.meters] == ["main"]


def test_the_example_can_be_read_with_every_setting_switched_on():
    switched_on = re.sub(r"^# (\[+[\w.]+\]+|\w+ = .*)$", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    scenario = parse_scenario(switched_on)
    assert scenario.replay
    assert len(faults_of(scenario, START_US)) == 5


def test_the_example_shows_every_setting_and_the_defaults():
    sections = [section for name, section in vars(settings_of).items() if name.endswith("Settings")]
    wanted = {name for section in sections for name in section.__struct_encode_fields__}
    assert {"seed", "unit", "file", "for_s"} <= wanted
    # a setting, or a section of a section
    shown = set(re.findall(r"^(?:# (?:or: )?)?(?:\[\[\w+\.)?(\w+)(?: = |\]\])", EXAMPLE.read_text(), re.MULTILINE))
    assert wanted - shown == set()
    assert load_scenario(EXAMPLE).site == settings_of.SiteSettings(solar_peak_w=0.0), "as it says itself"


def test_every_kind_of_fault_can_be_set_and_is_in_the_example():
    field = next(one for one in msgspec.inspect.type_info(settings_of.FaultSettings).fields if one.name == "kind")
    assert field.type == msgspec.inspect.LiteralType(tuple(sorted(KINDS)))
    told = EXAMPLE.read_text()
    for kind in KINDS:
        assert re.search(rf'^# kind = "{kind}"$|^#   {kind} ', told, re.MULTILINE), kind


def test_a_file_that_is_not_toml_is_named(tmp_path):
    (tmp_path / "s.toml").write_text("a = ")
    with pytest.raises(SettingError, match=r"scenario = .*s\.toml: is not TOML: "):
        load_scenario(tmp_path / "s.toml")


def test_the_mark_that_windows_editors_write_does_no_harm(tmp_path):
    (tmp_path / "s.toml").write_text(METER, "utf-8-sig")
    assert load_scenario(tmp_path / "s.toml") == parse_scenario(METER)


@settings(max_examples=60)
@given(st.text(max_size=200), st.integers(0, 300))
def test_any_text_is_a_scenario_or_a_setting_error(text, place):
    whole = METER + FAULT
    for one in (text, whole[:place] + text + whole[place:]):
        with suppress(SettingError):
            faults_of(parse_scenario(one), START_US)
