"""Units as makers print them."""

import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.printed_units import si_per_unit


@pytest.mark.parametrize(
    ("measurand", "unit", "factor"),
    [
        ("active_power_w", "kW", 1e3),
        ("reactive_power_var", "kvar", 1e3),
        ("energy_import_wh", "MWh", 1e6),
        ("frequency_hz", "mHz", 1e-3),
        ("power_factor", "%", 1e-2),
        ("gas_concentration", "ppm", 1e-6),
        ("pressure_pa", "hPa", 100.0),
        ("pressure_pa", "bar", 1e5),
        ("gas_volume_m3", "l", 1e-3),
        ("vibration_m_per_s", "mm/s", 1e-3),
        ("illuminance_lx", "klx", 1e3),
        ("temperature_c", "°C", 1.0),
    ],
)
def test_prefixes_and_names_are_known(measurand, unit, factor):
    assert si_per_unit(Measurand(measurand), unit) == factor


@pytest.mark.parametrize(("measurand", "unit"), [("current_a", "VA"), ("active_power_w", "%"), ("voltage_v", "")])
def test_what_is_no_unit_of_it_is_refused(measurand, unit):
    with pytest.raises((KeyError, ValueError)):
        si_per_unit(Measurand(measurand), unit)
