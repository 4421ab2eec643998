"""What a meter says of itself."""

import tomllib

import pytest

from firmware_bridge.simulator.nameplate import Nameplate, other_serial_number, packed_text, serial_number_of

PROFILE = """
vendor = "Maker"
models = ["Model 7", "Model 8"]
word_order = "low_first"
[[identify]]
name = "device_code"
function = 3
address = 11
type = "u16"
ranges = [{ first = 330, last = 345, model = "Model 7" }]
[[identify]]
name = "type"
function = 4
address = 12
type = "u32"
values = { 0x42323120 = "Model 8", 0x42323320 = "Model 7" }
[[identify]]
name = "serial_number"
function = 3
address = 20
type = "str"
registers = 5
[[identify]]
name = "unit"
function = 3
address = 30
type = "u16"
is_unit = true
[[identify]]
name = "mac"
function = 3
address = 40
type = "str"
registers = 4
unit = 100
contains = { "rail" = "Model 7" }
"""


def plate(text: str = PROFILE) -> Nameplate:
    return Nameplate(tomllib.loads(text))


def test_codes_and_texts_are_those_of_the_first_model():
    cells = {cell[:2]: cell.words for cell in plate().cells(12_345_678, 9)}
    assert cells == {
        (3, 11): b"\x01\x4a",
        (4, 12): bytes.fromhex("3120 4232"),
        (3, 20): b"12345678\0\0",
        (3, 30): b"\0\x09",
    }


def test_another_unit_answers_for_it():
    assert plate().units_beside == {100}
    assert [tuple(cell) for cell in plate().cells_beside(1, 100)] == [(3, 40, b"RAIL\0\0\0\0")]
    assert not list(plate().cells_beside(1, 99))
    assert (3, 40) in {cell[:2] for cell in plate().cells(1, 100)}, "when the meter is that unit itself"


def test_device_identification_is_known_only_where_the_profile_names_it():
    assert plate().objects(1) == {}
    named = plate('vendor = "M"\nmodels = ["A9"]\n[[identify]]\nname = "device"\nfunction = 43\n')
    assert named.objects(1) == {0: b"M", 1: b"A9", 2: b"V1.0"}


def test_texts_are_cut_filled_and_swapped():
    assert packed_text("ABCDE", 2) == b"ABCD"
    assert packed_text("ABC", 3, is_swapped=True) == b"BA\0C\0\0"
    assert packed_text("µ", 1) == b"?\0"


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_serial_numbers_have_eight_digits_and_differ(seed):
    numbers = [serial_number_of(seed, unit) for unit in range(1, 248)]
    numbers += [other_serial_number(number) for number in numbers]
    assert len(set(numbers)) == len(numbers)
    assert {len(str(number)) for number in numbers} == {8}
