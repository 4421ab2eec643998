"""Registers against words worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.frames import Read
from firmware_bridge.simulator.register_map import MAPS, load_register_map, parse_register_map


def profile(facts: str, word_order: str = "high_first", name: str = "active_power_w") -> str:
    return f'word_order = "{word_order}"\n[registers]\n{name} = {{ {facts} }}\n'


def register(facts: str, word_order: str = "high_first", name: str = "active_power_w"):
    return parse_register_map("test", profile(facts, word_order, name)).registers[0]


@pytest.mark.parametrize(
    ("facts", "word_order", "name", "value", "words", "shown"),
    [
        # IEEE 754: 230.2 is 0x43663333, which is 230.1999969482422.
        ('type = "f32", scale = 1, unit = "V"', "high_first", "voltage_v", 230.2, "4366 3333", 230.1999969482422),
        ('type = "f32", scale = 1, unit = "V"', "low_first", "voltage_v", 230.2, "3333 4366", 230.1999969482422),
        ('type = "f32", scale = 1, unit = "kWh"', "high_first", "energy_import_wh", 1500.0, "3fc0 0000", 1500.0),
        ('type = "s32", scale = 0.1, unit = "W"', "low_first", "active_power_w", -1234.56, "cfc6 ffff", -1234.6),
        ('type = "s32", scale = 0.1, unit = "W"', "high_first", "active_power_w", 70000.0, "000a ae60", 70000.0),
        ('type = "s16", scale = 0.001, unit = "1"', "low_first", "power_factor", -0.95, "fc4a", -0.95),
        ('type = "u16", scale = 0.1, unit = "Hz"', "high_first", "frequency_hz", 49.96, "01f4", 50.0),
        ('type = "u32", scale = 1, unit = "Wh"', "low_first", "energy_import_wh", 65537.4, "0001 0001", 65537.0),
        (
            'type = "s64", scale = 0.001, unit = "kWh"', "high_first", "energy_import_wh", 66e3,
            "0000 0000 0001 01d0", 66e3,
        ),
        ('type = "u64", scale = 1, unit = "Wh"', "low_first", "energy_import_wh", 66e3, "01d0 0001 0000 0000", 66e3),
        ('type = "f32", scale = 1000, unit = "W"', "high_first", "active_power_w", -2500.0, "c020 0000", -2500.0),
    ],
)  # fmt: skip
def test_words_are_those_worked_out_by_hand(facts, word_order, name, value, words, shown):
    encoded, stands_for = register(f"address = 2, function = 4, {facts}", word_order, name).encode(value)
    assert encoded == bytes.fromhex(words)
    assert stands_for == pytest.approx(shown, rel=1e-12)


@given(st.floats(-1e30, 1e30), st.sampled_from(["u16", "s16", "u32", "s32", "u64", "s64"]))
def test_a_value_beyond_the_register_is_clamped_and_never_a_sentinel(value, kind):
    words, shown = register(f'address = 0, function = 3, type = "{kind}", scale = 0.1, unit = "W"').encode(value)
    top = 2 ** (8 * len(words))
    sentinel = {"u": top - 1, "s": top // 2 - 1}[kind[0]]
    assert int.from_bytes(words) != sentinel
    lowest = 0 if kind[0] == "u" else -top / 2
    if 10 * abs(value) < top / 2 - 2 and value * 10 > lowest + 2:
        assert abs(shown - value) <= 0.05 + 1e-12 * abs(value)


@given(st.floats(-1e300, 1e300))
def test_a_float_register_takes_any_value(value):
    words, _ = register('address = 0, function = 3, type = "f32", scale = 1, unit = "W"').encode(value)
    assert len(words) == 4


@pytest.mark.parametrize("path", sorted(MAPS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_profile_of_the_product_can_be_simulated(path):
    registers = load_register_map(path.stem)
    assert Measurand.ACTIVE_POWER_W in {one.measurand for one in registers.registers}


def test_a_block_holds_the_registers_that_lie_wholly_within():
    sdm = load_register_map("eastron_sdm630")
    assert [one.measurand for one in sdm.inside(Read(4, 0, 4))] == ["voltage_l1_v", "voltage_l2_v"]
    assert [one.measurand for one in sdm.inside(Read(4, 1, 3))] == ["voltage_l2_v"]
    assert not sdm.inside(Read(3, 0, 4))


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(SettingError, match=r"'sdm' *: is not a known profile; use one of: .*eastron_sdm630"):
        load_register_map("sdm")


def test_a_folder_of_ones_own_can_come_first(tmp_path):
    (tmp_path / "mine.toml").write_text(profile('address = 0, function = 3, type = "u16", scale = 1, unit = "W"'))
    assert load_register_map("mine", [tmp_path, MAPS]).spans == {3: range(1)}
    (tmp_path / "bad.toml").write_bytes(b"\xff\xff")
    with pytest.raises(SettingError, match="cannot be read"):
        load_register_map("bad", [tmp_path])


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[registers]",
        'word_order = "high_first"\n[registers]\n',
        'word_order = "middle"\n[registers]\n',
        profile('address = 0, function = 3, type = "u8", scale = 1, unit = "W"'),
        profile('address = 0, function = 3, type = "u16", scale = 1, unit = "furlong"'),
        profile('address = 0, function = 3, type = "u16", scale = 0, unit = "W"'),
        profile('address = 0, function = 3, scale = 1, unit = "W"'),
        profile('address = 0, function = 3, type = "u16", scale = 1, unit = "W"', name="happiness"),
        'word_order = "high_first"\nregisters = 3\n',
    ],
)
def test_a_profile_without_what_is_needed_is_refused(text):
    with pytest.raises(SettingError, match=r"meter\.profile = test"):
        parse_register_map("test", text)
