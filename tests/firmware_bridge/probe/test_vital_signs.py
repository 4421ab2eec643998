import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.probe.vital_signs import (
    BITS_PER_VALUE_MAX,
    evidence_bits,
    vital_registers,
    vital_signs,
)
from firmware_bridge.profile import Register

HIGH, LOW = WordOrder.HIGH_FIRST, WordOrder.LOW_FIRST
SDM630 = load_profile("eastron_sdm630")
EM340 = load_profile("carlo_gavazzi_em340")
MODBUS = [one for one in map(load_profile, profile_names()) if one.file.protocol == "modbus"]


def floats(values: dict[Measurand, float]):
    """Registers of an Eastron with these values; None for the others."""

    def words_of(register: Register):
        value = values.get(register.measurand)
        return None if value is None else struct.unpack(">HH", struct.pack(">f", value))

    return words_of


def registers(profile):
    return [one for group in vital_registers(profile) for one in group]


def test_a_home_in_service_is_plausible():
    values = {Measurand.FREQUENCY_HZ: 50.0, Measurand.VOLTAGE_L1_V: 230.0, Measurand.ACTIVE_POWER_W: -1500.0}
    signs = vital_signs(registers(SDM630), floats(values), HIGH)
    assert signs.frequency_hz == 50.0
    assert signs.volts == [230.0]
    assert signs.plausible.keys() == values.keys()
    assert signs.implausible == {}
    assert signs.bits > 2 * BITS_PER_VALUE_MAX


def test_a_mean_voltage_is_no_phase_of_its_own():
    meter = load_profile("sunspec_meter_float")
    together = {Measurand.VOLTAGE_V: 229.0, Measurand.VOLTAGE_L1_V: 230.0, Measurand.VOLTAGE_L2_V: 228.0}
    assert vital_signs(registers(meter), floats(together), HIGH).volts == [230.0, 228.0]
    assert vital_signs(registers(meter), floats({Measurand.VOLTAGE_V: 229.0}), HIGH).volts == [229.0]


def test_in_the_wrong_word_order_it_is_not():
    values = {Measurand.FREQUENCY_HZ: 50.02, Measurand.VOLTAGE_L1_V: 231.4}
    right = vital_signs(registers(SDM630), floats(values), HIGH)
    wrong = vital_signs(registers(SDM630), floats(values), LOW)
    assert right.bits > 0 > wrong.bits
    assert wrong.plausible == {}


@given(hertz=st.floats(45, 65, width=32), volts=st.floats(80, 300, width=32))
def test_the_right_order_is_never_less_plausible_than_the_wrong_one(hertz: float, volts: float):
    words_of = floats({Measurand.FREQUENCY_HZ: hertz, Measurand.VOLTAGE_L1_V: volts})
    right = vital_signs(registers(SDM630), words_of, HIGH)
    wrong = vital_signs(registers(SDM630), words_of, LOW)
    assert right.bits == 2 * BITS_PER_VALUE_MAX
    assert right.bits >= wrong.bits


def test_a_phase_that_is_out_says_nothing():
    values = {Measurand.VOLTAGE_L1_V: 0.0, Measurand.VOLTAGE_L2_V: float("nan")}
    signs = vital_signs(registers(SDM630), floats(values), HIGH)
    assert set(signs.blank) == {Measurand.VOLTAGE_L1_V, Measurand.VOLTAGE_L2_V}
    assert signs.bits == 0


def test_a_tiny_float_is_no_measurement():
    signs = vital_signs(registers(SDM630), floats({Measurand.ACTIVE_POWER_W: 1e-40}), HIGH)
    assert Measurand.ACTIVE_POWER_W in signs.implausible


def test_whole_numbers_are_weaker_evidence_than_floats():
    def bits(profile):
        return {one.measurand: evidence_bits(one) for one in registers(profile)}

    assert bits(SDM630)[Measurand.FREQUENCY_HZ] == BITS_PER_VALUE_MAX
    assert 3 < bits(EM340)[Measurand.FREQUENCY_HZ] < BITS_PER_VALUE_MAX
    assert bits(SDM630)[Measurand.ACTIVE_POWER_W] < 1  # a power may be anything


@pytest.mark.parametrize("profile", MODBUS, ids=lambda one: one.name)
def test_every_profile_has_something_to_look_at(profile):
    for register in registers(profile):
        assert 0 <= evidence_bits(register) <= BITS_PER_VALUE_MAX
    assert registers(profile)
