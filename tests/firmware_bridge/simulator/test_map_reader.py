"""Profiles as the simulator reads them, against words worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.map_reader import MAPS, load_profile_tree, load_register_map, parse_register_map
from firmware_bridge.simulator.register import Register
from firmware_bridge.simulator.register_map import Limits


def words(register: Register, value: float) -> tuple[bytes, float]:
    """What stands at the register's own address, and what it stands for."""
    parts, shown = register.encode(value)
    return register.type.pack(parts[register.address], is_low_first=register.is_low_first), shown


def profile(facts: str, word_order: str = "high_first", name: str = "active_power_w") -> str:
    return f'word_order = "{word_order}"\n[registers]\n{name} = {{ {facts} }}\n'


def register(facts: str, word_order: str = "high_first", name: str = "active_power_w"):
    return parse_register_map("test", profile(facts, word_order, name)).registers[0]


@pytest.mark.parametrize(
    ("facts", "word_order", "name", "value", "hexed", "shown"),
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
        ('type = "u16", scale = 1, unit = "%"', "high_first", "state_of_charge", 0.874, "0057", 0.87),
        ('type = "u16", scale = 1, unit = "ppm"', "high_first", "gas_concentration", 0.000812, "032c", 0.000812),
        ('type = "u16", scale = 0.1, unit = "hPa"', "high_first", "pressure_pa", 101326.0, "2795", 101330.0),
        ('type = "s16", scale = 0.1, unit = "°C"', "high_first", "temperature_c", -3.56, "ffdc", -3.6),
        ('type = "u32", scale = 1, unit = "l"', "low_first", "gas_volume_m3", 70.0, "1170 0001", 70.0),
        ('type = "u16", scale = 0.01, unit = "mm/s"', "high_first", "vibration_m_per_s", 0.0018, "00b4", 0.0018),
        # it has counted 2^32 Wh and 7 more
        ('type = "acc32", scale = 1, unit = "Wh"', "high_first", "energy_total_wh", 2**32 + 7.0, "0000 0007", 7.0),
        ('type = "s32", scale = 1, unit = "Wh"', "high_first", "energy_import_wh", 2**31 + 7.0, "0000 0007", 7.0),
        (
            'type = "u32", scale = 0.1, unit = "kWh", wraps_at = 1e7', "high_first", "energy_import_wh",
            1_000_000_300.0, "0000 0003", 300.0,
        ),
        ('type = "u16", values = { 0 = "right", 0xFFFF = "reversed" }', "high_first", "phase_sequence", 0, "ffff", 0),
        ('type = "u16", values = { 4 = "running" }', "high_first", "operating_state", 0, "0004", 3),
    ],
)  # fmt: skip
def test_words_are_those_worked_out_by_hand(facts, word_order, name, value, hexed, shown):
    encoded, stands_for = words(register(f"address = 2, function = 4, {facts}", word_order, name), value)
    assert encoded == bytes.fromhex(hexed)
    assert stands_for == pytest.approx(shown, rel=1e-12)


@given(st.floats(-1e30, 1e30), st.sampled_from(["u16", "s16", "u32", "s32", "u64", "s64"]))
def test_a_value_beyond_the_register_is_clamped_and_never_a_sentinel(value, kind):
    encoded, shown = words(register(f'address = 0, function = 3, type = "{kind}", scale = 0.1, unit = "W"'), value)
    top = 2 ** (8 * len(encoded))
    sentinel = {"u": top - 1, "s": top // 2 - 1}[kind[0]]
    assert int.from_bytes(encoded) != sentinel
    lowest = 0 if kind[0] == "u" else -top / 2
    if 10 * abs(value) < top / 2 - 2 and value * 10 > lowest + 2:
        assert abs(shown - value) <= 0.05 + 1e-12 * abs(value)


@given(st.floats(-1e300, 1e300))
def test_a_float_register_takes_any_value(value):
    encoded, _ = words(register('address = 0, function = 3, type = "f32", scale = 1, unit = "W"'), value)
    assert len(encoded) == 4


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(MAPS.glob("*.toml")) if "registers" in load_profile_tree(path.stem)],
    ids=lambda path: path.stem,
)
def test_every_profile_with_registers_can_be_simulated(path):
    assert load_register_map(path.stem).registers


def test_what_a_maker_calls_no_value_is_not_given_out():
    text = profile('address = 0, function = 3, type = "u16", scale = 1, unit = "W"')
    one = parse_register_map("test", 'invalid = { u16 = [0xFFFF, "0x01F4", 0] }\n' + text).registers[0]
    assert words(one, 500.0) == (b"\x01\xf3", 499.0)
    assert words(one, 0.0) == (b"\x00\x01", 1.0)
    assert one.blank_bits == 0xFFFF
    text = profile('address = 0, function = 3, type = "f32", scale = 1, unit = "W"')
    assert parse_register_map("test", 'invalid = { f32 = ["NaN"] }\n' + text).registers[0].blank_bits == 0x7FC00000


def test_a_maker_who_counts_generation_as_positive_shows_the_other_sign():
    text = 'sign = "generation_positive"\n' + profile(
        'address = 0, function = 3, type = "s16", scale = 1, unit = "W"'
    )
    assert words(parse_register_map("test", text).registers[0], -700.0) == (b"\x02\xbc", -700.0)
    own = 'address = 0, function = 3, type = "s16", scale = 1, unit = "W", sign = "discharge_positive"'
    assert words(register(own, name="battery_power_w"), -700.0) == (b"\x02\xbc", -700.0)


def test_registers_of_a_model_lie_behind_the_chain_before_it():
    text = "sunspec = { models = [103], bases = [50000] }\n" + profile(
        'address = 14, function = 3, type = "s16", scale = 1, unit = "W", scale_address = 15'
    )
    found = parse_register_map("test", text)
    assert found.chain is not None
    assert found.chain.model_address == 50_000 + 2 + 68 + 15
    assert (found.registers[0].address, found.registers[0].scale_address) == (50_099, 50_100)


def test_limits_come_from_the_profile():
    limits = "max_read = 6\neven = true\nforbidden = [[10, 10]]\nnever_across = [14]\n"
    text = limits + profile('address = 30, function = 3, type = "u16", scale = 1, unit = "W"')
    assert parse_register_map("test", text).limits == Limits(
        6, is_even=True, forbidden=((10, 10),), never_across=(14,)
    )
    assert parse_register_map("test", text).window(Read(3, 30, 8)) is ModbusException.ILLEGAL_VALUE


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(SettingError, match=r"'sdm' *: is not a known profile; use one of: .*eastron_sdm630"):
        load_register_map("sdm")


def test_a_folder_of_ones_own_can_come_first(tmp_path):
    (tmp_path / "mine.toml").write_text(profile('address = 0, function = 3, type = "u16", scale = 1, unit = "W"'))
    assert load_register_map("mine", [tmp_path, MAPS]).measurands == {Measurand.ACTIVE_POWER_W}
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
        profile('address = 0, function = 3, type = "u16", values = { 0 = "asleep" }', name="operating_state"),
        profile('address = 0, function = 3, type = "u16", values = { 65536 = "off" }', name="operating_state"),
        "sunspec = { models = [] }\n" + profile('address = 9, function = 3, type = "u16", scale = 1, unit = "W"'),
        "sunspec = { models = [101] }\n"
        + profile('address = 999999999999, function = 3, type = "u16", scale = 1, unit = "W"'),
        '[[identify]]\nname = "x"\nfunction = 3\naddress = 1\ntype = "str"\n'
        + profile('address = 0, function = 3, type = "u16", scale = 1, unit = "W"'),
    ],
)
def test_a_profile_without_what_is_needed_is_refused(text):
    with pytest.raises(SettingError, match=r"meter\.profile = test"):
        parse_register_map("test", text)
