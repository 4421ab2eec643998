"""What the other tests take for true is true: words worked out by hand, and every meter shows the known values."""

import pytest

from firmware_bridge.measurand import Measurand
from tests.interop.meters import MADE_UP, NAMES
from tests.interop.register_words import CHOICES, FORMATS, KNOWN, MeterMap

# 230.2 V as f32; -1234 and 70000 in two words; 2^40 + 1 in four; 5.25 A in hundredths, the power behind it.
TEXT = """
word_order = "{order}"
sign = "generation_positive"
[registers]
voltage_v = {{ address = 0, function = 4, type = "f32", scale = 1, unit = "V" }}
active_power_w = {{ address = 2, function = 4, type = "s32", scale = 0.1, unit = "kW" }}
reactive_power_var = {{ address = 4, minus = [2], function = 4, type = "s32", scale = 1, unit = "var" }}
energy_total_wh = {{ address = 6, function = 4, type = "u64", scale = 1, unit = "Wh" }}
current_a = {{ address = 10, scale_address = 11, function = 4, type = "u16", scale = 1, unit = "A" }}
contact = {{ address = 12, function = 4, type = "u16", values = {{ 0x0102 = "closed" }} }}
"""
HIGH_FIRST = "4366 3333 FFFF FB2E 0001 1170 0000 0100 0000 0001 020D FFFE 0102"
LOW_FIRST = "3333 4366 FB2E FFFF 1170 0001 0001 0000 0100 0000 020D FFFE 0102"


@pytest.mark.parametrize(("order", "hexadecimal"), [("high_first", HIGH_FIRST), ("low_first", LOW_FIRST)])
def test_words_mean_what_was_worked_out_by_hand(tmp_path, order, hexadecimal):
    path = tmp_path / "by_hand.toml"
    path.write_text(TEXT.format(order=order))
    words = {(4, address): int(word, 16) for address, word in enumerate(hexadecimal.split())}
    values = {name: one.value for name, one in MeterMap(path).values(words).items()}
    assert values == {
        "voltage_v": pytest.approx(230.2, rel=1e-7),
        "active_power_w": 123_400,
        "reactive_power_var": 70_000 + 1234,
        "energy_total_wh": 2**40 + 1,
        "current_a": 5.25,
        "contact": 1,
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_image_shows_the_known_values(maps, name):
    image = maps[name].image()
    values = maps[name].values(image.words)
    for measurand, known in maps[name].known.items():
        assert values[measurand].value == pytest.approx(known, abs=0.5001 * values[measurand].step)


def test_a_map_with_any_measurand_can_be_tried():
    assert [one for one in Measurand if one not in CHOICES and not one.startswith(tuple(KNOWN))] == []


def test_every_type_is_there_in_both_word_orders(maps):
    types = [{point.type for point in maps[name].points} for name in MADE_UP]
    assert types == [set(FORMATS), set(FORMATS)]
