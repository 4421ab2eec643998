from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.map_parser import parse_profile
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Register, placed

SUNSPEC = """
schema = 1
key = "sun"
vendor = "V"
models = ["M"]
kind = "inverter"
sources = ["a document"]
confidence = "low"
sunspec = { models = [103] }

[registers]
voltage_v = { address = 10, function = 3, type = "u16", scale = 1, unit = "V" }

[registers.active_power_w]
address = 14
function = 3
type = "s16"
plus = [16]
minus = [12]
scale = 1
scale_address = 17
unit = "W"
"""


def a_register(**facts) -> Register:
    return Register(
        **{
            "measurand": Measurand.ACTIVE_POWER_W,
            "function": 3,
            "address": 10,
            "type": RegisterType.S32,
            "word_order": WordOrder.HIGH_FIRST,
            "numerator": 1,
            "denominator": 1,
        }
        | facts
    )


def test_a_plain_value_takes_its_own_registers():
    plain = a_register()
    assert (plain.start, plain.end, plain.places) == (10, 12, [(10, 2)])


def test_a_value_of_several_parts_reaches_from_the_first_to_the_last():
    parts = a_register(plus=(14,), minus=(4,), scale_address=20)
    assert (parts.start, parts.end) == (4, 21)
    assert parts.places == [(10, 2), (14, 2), (4, 2), (20, 1)]


def test_a_sunspec_profile_is_placed_with_all_parts_of_its_values():
    profile = parse_profile(SUNSPEC, "sun")
    voltage, power = placed(profile, 40_069).registers
    assert power.places == [(40_083, 1), (40_085, 1), (40_081, 1), (40_086, 1)]
    assert voltage.places == [(40_079, 1)]
    assert [one.address for one in profile.registers] == [10, 14]
