import math
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.map_parser import check_profile, parse_profile
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Profile, Register

NAME = "carlo_gavazzi_em340"
MAP = (resources.files("firmware_bridge") / "maps" / f"{NAME}.toml").read_text()

# A meter that has everything a map can say.
SMALL = """
schema = 1
key = "small"
vendor = "V"
models = ["M"]
kind = "inverter"
phases = 1
transport = ["tcp"]
tcp_defaults = { port = 502, unit = 1 }
word_order = "high_first"
max_read = 125
sign = "generation_positive"
sources = ["a document"]
confidence = "low"
byte_swapped_text = true

[invalid]
u16 = [0xFFFF]
s16 = [0x8000]
s32 = [0x7FFFFFFF]
u64 = ["0xFFFFFFFFFFFFFFFF"]
f32 = ["NaN", "-1", "0xC1200000"]

[registers]
active_power_w   = { address = 0, function = 3, type = "s16", scale = 10, unit = "W" }
voltage_v        = { address = 1, function = 3, type = "u16", scale = 0.1, unit = "V", confidence = "low" }
power_factor     = { address = 2, function = 3, type = "s16", scale = 0.1, unit = "%" }
energy_total_wh  = { address = 3, function = 3, type = "u64", scale = 0.01, unit = "kWh" }
energy_export_wh = { address = 7, function = 3, type = "f32", scale = 1, unit = "MWh" }
apparent_power_va = { address = 0, function = 4, type = "s32", scale = 0.001, unit = "kVA", note = "n" }
"""


def registers_of(profile: Profile) -> dict[Measurand, Register]:
    return {register.measurand: register for register in profile.registers}


def test_units_and_scales_become_one_exact_factor():
    registers = registers_of(parse_profile(SMALL, "small"))
    factors = {str(name): (one.numerator, one.denominator) for name, one in registers.items()}
    assert factors == {
        "active_power_w": (-10, 1),
        "voltage_v": (1, 10),
        "power_factor": (1, 1000),
        "energy_total_wh": (10, 1),
        "energy_export_wh": (1_000_000, 1),
        "apparent_power_va": (1, 1),
    }


def test_only_active_power_is_turned_round_when_generation_counts_as_positive():
    turned = {str(one.measurand) for one in parse_profile(SMALL, "small").registers if one.numerator < 0}
    assert turned == {"active_power_w"}
    straight = parse_profile(SMALL.replace("generation_positive", "import_positive"), "small")
    assert all(one.numerator > 0 for one in straight.registers)


def test_sentinels_are_the_raw_values_that_the_decoder_sees():
    registers = registers_of(parse_profile(SMALL, "small"))
    assert registers[Measurand.ACTIVE_POWER_W].invalid == (-0x8000,)
    assert registers[Measurand.VOLTAGE_V].invalid == (0xFFFF,)
    assert registers[Measurand.APPARENT_POWER_VA].invalid == (0x7FFFFFFF,)
    assert registers[Measurand.ENERGY_TOTAL_WH].invalid == (0xFFFF_FFFF_FFFF_FFFF,)
    nan, minus_one, from_bits = registers[Measurand.ENERGY_EXPORT_WH].invalid
    assert math.isnan(nan)
    assert (minus_one, from_bits) == (-1.0, -10.0)


def test_registers_keep_the_order_of_the_file_and_know_where_they_end():
    profile = parse_profile(MAP, NAME)
    assert [one.address for one in profile.registers] == sorted(one.address for one in profile.registers)
    first = profile.registers[0]
    assert (first.measurand, first.type, first.address, first.end) == (Measurand.VOLTAGE_L1_V, RegisterType.S32, 0, 2)
    assert first.word_order is WordOrder.LOW_FIRST


MISTAKES = {
    "no measurand": ("voltage_v ", "volts ", "registers.volts = (key): is not a measurand; use one of: "),
    "a unit that does not fit": (
        'unit = "kWh"',
        'unit = "kW"',
        "registers.energy_total_wh.unit = 'kW': does not fit energy_total_wh; use Wh or kWh or MWh",
    ),
    "no such unit": (
        'unit = "V"',
        'unit = "volt"',
        "registers.voltage_v.unit = 'volt': does not fit voltage_v; use V",
    ),
    "no such type": (
        'type = "u16"',
        'type = "u8"',
        "registers.voltage_v.type = 'u8': is none of the choices; use one of: \"u16\",",
    ),
    "function": (
        "0, function = 4",
        "0, function = 6",
        "registers.apparent_power_va.function = 6: is none of the choices; use one of: 3, 4",
    ),
    "address": (
        "address = 1,",
        "address = 70000,",
        "registers.voltage_v.address = 70000: is out of range; write a whole number from 0 to 65_535",
    ),
    "over the edge": (
        "address = 7,",
        "address = 0xFFFF,",
        "registers.energy_export_wh.address = 0xffff: leaves no room",
    ),
    "scale": (
        "scale = 0.1, unit",
        "scale = 0, unit",
        "registers.voltage_v.scale = 0: is out of range; write a number from 1e-09 to 1_000_000",
    ),
    "no scale": ("scale = 0.1, unit", "unit", "registers.voltage_v.scale = (missing): is needed; add it: 1 where"),
    "unknown key": (
        'type = "u16"',
        'typ = "u16"',
        "registers.voltage_v.typ = 'u16': is not a setting; remove it or mind",
    ),
    "overlap": (
        "address = 7,",
        "address = 6,",
        "registers.energy_export_wh.address = 0x6: overlaps energy_total_wh at 0x3, which takes 4; correct one",
    ),
    "larger than a read": (
        "max_read = 125",
        "max_read = 3",
        "registers.energy_total_wh.type = u64: does not fit max_read",
    ),
    "name": ('key = "small"', 'key = "tall"', "key = 'tall': is not the name of the file; write 'small'"),
    "sentinel too large": (
        "u16 = [0xFFFF]",
        "u16 = [0x10000]",
        "invalid.u16 = 65536: is not a raw value of 16 bits; write its bits",
    ),
    "sentinel below 0": ("u16 = [0xFFFF]", "u16 = [-1]", "invalid.u16 = -1: is not a raw value"),
    "sentinel in words": ('"NaN"', '"none"', "invalid.f32 = 'none': is not a raw value"),
    "sentinel too large for f32": ('"NaN"', '"1e39"', "invalid.f32 = '1e39': is not a raw value"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_file_register_and_remedy(name: str):
    good, bad, said = MISTAKES[name]
    assert good in SMALL
    with pytest.raises(SettingError) as caught:
        parse_profile(SMALL.replace(good, bad, 1), "small")
    assert str(caught.value).startswith(f"small.toml: {said}")


def test_all_mistakes_are_told_at_once():
    text = SMALL.replace('unit = "V"', 'unit = "kW"').replace("address = 7,", "address = 6,")
    text = text.replace('"NaN"', '"none"').replace("u16 = [0xFFFF]", "u17 = [0xFFFF]")
    profile, mistakes = check_profile(text.replace('key = "small"', 'key = "tall"'), "small")
    assert profile is None
    assert [one.field.removeprefix("small.toml: ") for one in mistakes] == [
        "key",
        "invalid.u17",
        "invalid.f32",
        "registers.voltage_v.unit",
        "registers.energy_export_wh.address",
    ]


def test_mistakes_of_the_shape_are_told_at_once():
    text = SMALL.replace("kind =", "kinds =").replace("max_read = 125", "max_read = 126")
    text = text.replace("voltage_v ", "volts ").replace("function = 4", "function = 5")
    assert [one.field.removeprefix("small.toml: ") for one in check_profile(text, "small")[1]] == [
        "kinds",
        "kind",
        "max_read",
        "registers.volts",
        "registers.apparent_power_va.function",
    ]


HYBRID = """
battery_power_w = { address = 20, function = 3, type = "s16", scale = 1, unit = "W", sign = "discharge_positive" }
battery_current_a = { address = 21, function = 3, type = "s16", scale = 1, unit = "A", sign = "charge_positive" }
current_a = { address = 22, function = 3, type = "s16", scale = 1, unit = "A", sign = "generation_positive" }
active_power_l1_w = { address = 23, function = 3, type = "s16", scale = 1, unit = "W", sign = "import_positive" }
active_power_l2_w = { address = 24, function = 3, type = "s16", scale = 1, unit = "W" }
"""


def test_a_register_may_count_another_direction_than_its_file():
    registers = registers_of(parse_profile(SMALL + HYBRID, "small"))
    signs = {str(name): one.numerator for name, one in registers.items() if one.address >= 20}
    assert signs == {
        "battery_power_w": -1,
        "battery_current_a": 1,
        "current_a": -1,
        "active_power_l1_w": 1,
        "active_power_l2_w": -1,
    }


def test_a_sum_may_share_its_parts():
    text = (
        SMALL
        + 'active_power_l1_w = { address = 0, function = 3, type = "s16", plus = [1, 2], scale = 1, unit = "W" }'
    )
    assert registers_of(parse_profile(text, "small"))[Measurand.ACTIVE_POWER_L1_W].end == 3


@given(st.data())
def test_a_damaged_map_is_a_profile_or_a_named_mistake(data):
    start = data.draw(st.integers(0, len(MAP)))
    end = data.draw(st.integers(start, min(start + 40, len(MAP))))
    put = data.draw(st.text(max_size=10) | st.sampled_from(["1e999", "-1", "nan", "[]", "{}", '""', "0x", "\n"]))
    said = f"{NAME}.toml"
    try:
        parse_profile(MAP[:start] + put + MAP[end:], NAME)
    except SettingError as error:
        said = str(error)
    assert said.startswith(f"{NAME}.toml")
