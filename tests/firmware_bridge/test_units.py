from fractions import Fraction

import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.units import factor_of, si_unit_of

MAKERS_UNITS = [
    "W",
    "kW",
    "kvar",
    "kVA",
    "mV",
    "mA",
    "mHz",
    "Wh",
    "MWh",
    "%",
    "ppm",
    "1",
    "°C",
    "klx",
    "hPa",
    "mm/s",
    "l",
]


@pytest.mark.parametrize(
    ("measurand", "unit", "scale", "factor"),
    [
        (Measurand.ACTIVE_POWER_W, "kW", 1, Fraction(1000)),
        (Measurand.ACTIVE_POWER_W, "W", 0.1, Fraction(1, 10)),
        (Measurand.ENERGY_IMPORT_WH, "kWh", 0.01, Fraction(10)),
        (Measurand.VOLTAGE_V, "mV", 100, Fraction(1, 10)),
        (Measurand.POWER_FACTOR, "%", 0.1, Fraction(1, 1000)),
        (Measurand.STATE_OF_CHARGE, "%", 1, Fraction(1, 100)),
        (Measurand.GAS_CONCENTRATION, "ppm", 1, Fraction(1, 1_000_000)),
        (Measurand.PRESSURE_PA, "hPa", 0.1, Fraction(10)),
        (Measurand.GAS_VOLUME_M3, "l", 10, Fraction(1, 100)),
        (Measurand.TEMPERATURE_C, "°C", 0.1, Fraction(1, 10)),
    ],
)
def test_a_factor_is_exact(measurand: Measurand, unit: str, scale: float, factor: Fraction):
    assert factor_of(measurand, unit, scale, "x") == factor


@pytest.mark.parametrize("measurand", Measurand)
def test_every_measurand_can_be_given_in_its_own_unit(measurand: Measurand):
    assert factor_of(measurand, measurand.facts.unit, 1, "x") == 1


@pytest.mark.parametrize(("measurand", "unit"), [(Measurand.VOLTAGE_V, "kW"), (Measurand.FREQUENCY_HZ, "1/min")])
def test_a_unit_of_something_else_is_named_with_those_that_fit(measurand: Measurand, unit: str):
    with pytest.raises(SettingError) as caught:
        factor_of(measurand, unit, 1, "x.toml: registers.y")
    assert str(caught.value).startswith(f"x.toml: registers.y.unit = {unit!r}: does not fit {measurand}; use ")
    assert measurand.facts.unit in caught.value.next_step


@pytest.mark.parametrize("unit", MAKERS_UNITS)
def test_every_unit_is_a_multiple_of_one_of_ours(unit: str):
    assert si_unit_of(unit) in {measurand.facts.unit for measurand in Measurand}


def test_an_unknown_unit_is_a_multiple_of_none():
    assert si_unit_of("furlong") is None
