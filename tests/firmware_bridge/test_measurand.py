import pytest

from firmware_bridge.measurand import BY_CODE, Measurand

UNITS = {"w": "W", "var": "var", "va": "VA", "v": "V", "a": "A", "hz": "Hz", "wh": "Wh"}


@pytest.mark.parametrize("measurand", Measurand)
def test_a_name_ends_in_its_unit(measurand: Measurand):
    ending = measurand.rpartition("_")[2]
    assert measurand.facts.unit == UNITS.get(ending, "1")


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
    }


def test_counters_are_the_energies_and_only_they():
    assert {one for one in Measurand if one.facts.is_counter} == {one for one in Measurand if one.facts.unit == "Wh"}


def test_power_may_flow_both_ways_and_a_grid_may_be_out():
    assert Measurand.ACTIVE_POWER_W.facts.plausible_low < 0
    assert Measurand.VOLTAGE_L1_V.facts.plausible_low == 0
    assert Measurand.FREQUENCY_HZ.facts.plausible_low == 0
