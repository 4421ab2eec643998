import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.counter_rules import CounterRules, counter_rules
from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Register
from firmware_bridge.reading import MeterId, Series

IMPORT = Series(MeterId("main"), Measurand.ENERGY_IMPORT_WH)
COUNTERS = [measurand for measurand in Measurand if measurand.facts.is_counter]


def register(kind: RegisterType, numerator: int, *, scale_address: int | None = None) -> Register:
    return Register(
        measurand=Measurand.ENERGY_IMPORT_WH,
        function=4,
        address=0,
        type=kind,
        word_order=WordOrder.HIGH_FIRST,
        numerator=numerator,
        denominator=1,
        scale_address=scale_address,
        wraps_at=2.0**32 * numerator,
    )


def test_energy_rises_no_faster_than_the_rated_power_and_a_fifth():
    rules = counter_rules(IMPORT, 10_000.0)
    assert rules.rate_max_per_s * 3600 == pytest.approx(12_000.0)
    assert (rules.subject, rules.unit, rules.resolution) == ("main.energy_import_wh", "Wh", 1.0)


@pytest.mark.parametrize("measurand", COUNTERS)
def test_every_counter_has_rules(measurand: Measurand):
    rules = counter_rules(Series(MeterId("m"), measurand), 10_000.0)
    assert rules.rate_max_per_s > 0
    assert rules.unit == measurand.facts.unit
    assert rules.refresh_s >= 300


def test_what_is_no_counter_has_none():
    with pytest.raises(AssertionError):
        counter_rules(Series(MeterId("m"), Measurand.VOLTAGE_V), 10_000.0)


def test_a_register_tells_resolution_and_end():
    rules = counter_rules(IMPORT, 10_000.0, register(RegisterType.U32, 100))
    assert (rules.resolution, rules.wraps_at) == (100.0, 2.0**32 * 100)
    assert {2.0**32 * 100, 1e8} <= set(rules.limits())


def test_a_factor_register_moves_the_ends():
    ends = set(counter_rules(IMPORT, 10_000.0, register(RegisterType.ACC32, 1, scale_address=26)).limits())
    assert {2.0**32, 2.0**32 * 10, 2.0**32 * 1000} <= ends


@given(st.floats(0, 1e12))
def test_a_float_counter_resolves_what_a_float_of_24_bits_does(value_wh: float):
    rules: CounterRules = counter_rules(IMPORT, 10_000.0, register(RegisterType.F32, 1000))
    resolution = rules.resolution_at(value_wh)
    (rounded,) = struct.unpack(">f", struct.pack(">f", value_wh / 1000))
    (rounded_above,) = struct.unpack(">f", struct.pack(">f", (value_wh + resolution) / 1000))
    assert rounded_above > rounded, "one resolution more shows"
    assert abs(rounded * 1000 - value_wh) <= resolution / 2
    assert 10.0 <= resolution <= max(10.0, value_wh * 2.0**-22)


def test_only_floats_factors_and_sums_may_seem_to_fall():
    assert counter_rules(IMPORT, 10_000.0, register(RegisterType.U32, 100)).rounding_at(1e6) < 1e-5
    assert counter_rules(IMPORT, 10_000.0, register(RegisterType.ACC32, 1, scale_address=26)).rounding_at(1e6) == 10
    assert counter_rules(IMPORT, 10_000.0, register(RegisterType.F32, 1000)).rounding_at(9.0) < 0.01
