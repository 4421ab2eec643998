import pytest

from firmware_bridge.measurand import BY_CODE, Measurand

UNITS = {
    "w": "W",
    "var": "var",
    "va": "VA",
    "v": "V",
    "a": "A",
    "hz": "Hz",
    "wh": "Wh",
    "c": "°C",
    "lx": "lx",
    "w_per_m2": "W/m²",
    "pa": "Pa",
    "m_per_s": "m/s",
    "m3": "m³",
    "count": "pulses",
}


@pytest.mark.parametrize("measurand", Measurand)
def test_a_name_ends_in_its_unit(measurand: Measurand):
    endings = [ending for ending in UNITS if measurand.endswith(f"_{ending}")]
    assert measurand.facts.unit == UNITS[max(endings, key=len)] if endings else "1"


@pytest.mark.parametrize("measurand", Measurand)
def test_a_range_can_be_stored_in_whole_quanta(measurand: Measurand):
    facts = measurand.facts
    assert facts.plausible_low < facts.plausible_high
    assert facts.resolution * facts.quanta_per_unit == 1
    # A column of quanta is stored in 63 bits.
    assert max(-facts.plausible_low, facts.plausible_high) * facts.quanta_per_unit < 2**63


def test_codes_are_on_disks_and_never_change():
    assert {code: str(measurand) for code, measurand in BY_CODE.items()} == {
        1: "active_power_w",
        2: "active_power_l1_w",
        3: "active_power_l2_w",
        4: "active_power_l3_w",
        5: "reactive_power_var",
        6: "apparent_power_va",
        7: "power_factor",
        8: "power_factor_l1",
        9: "voltage_v",
        10: "voltage_l1_v",
        11: "voltage_l2_v",
        12: "voltage_l3_v",
        13: "current_a",
        14: "current_l1_a",
        15: "current_l2_a",
        16: "current_l3_a",
        17: "frequency_hz",
        18: "energy_import_wh",
        19: "energy_export_wh",
        20: "energy_total_wh",
        21: "energy_import_l1_wh",
        22: "energy_import_l2_wh",
        23: "energy_import_l3_wh",
        24: "energy_export_l1_wh",
        25: "phase_sequence",
        26: "operating_state",
        27: "dc_power_w",
        28: "pv_power_w",
        29: "pv1_power_w",
        30: "pv2_power_w",
        31: "pv_energy_wh",
        32: "load_power_l1_w",
        33: "battery_power_w",
        34: "battery_voltage_v",
        35: "battery_current_a",
        36: "battery_discharge_wh",
        37: "state_of_charge",
        38: "temperature_c",
        39: "relative_humidity",
        40: "illuminance_lx",
        41: "irradiance_w_per_m2",
        42: "pressure_pa",
        43: "vibration_m_per_s",
        44: "gas_volume_m3",
        45: "gas_concentration",
        46: "contact",
        47: "pulse_count",
    }


def test_counters_are_energies_volumes_and_pulses():
    counting = {one for one in Measurand if one.facts.unit in {"Wh", "m³", "pulses"}}
    assert {one for one in Measurand if one.facts.is_counter} == counting


def test_an_enumeration_is_the_place_of_its_choice():
    for one in Measurand:
        if one.facts.choices:
            assert (one.facts.plausible_low, one.facts.plausible_high) == (0, len(one.facts.choices) - 1)


def test_power_may_flow_both_ways_and_a_grid_may_be_out():
    assert Measurand.ACTIVE_POWER_W.facts.plausible_low < 0
    assert Measurand.VOLTAGE_L1_V.facts.plausible_low == 0
    assert Measurand.FREQUENCY_HZ.facts.plausible_low == 0
