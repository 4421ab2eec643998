"""What a meter measures, before it shows it."""

import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs
from firmware_bridge.simulator.faults import Spike, Stuck, SwappedMeter
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.instrument import Instrument, shown_second
from firmware_bridge.simulator.source import HouseSource, Site
from firmware_bridge.simulator.weather import Weather

START_S = 1_767_571_200
START_US = UtcUs(START_S * US_PER_S)
SPAN = {"meter": MeterId("grid"), "from_us": START_US, "until_us": UtcUs(START_US + 60 * US_PER_S)}


def instrument(seed: int = 3, unit: int = 1) -> Instrument:
    house = House(seed, outages_per_week=0)
    return Instrument(MeterId("grid"), unit, HouseSource(Site(house), "grid", START_US), seed, [Weather(house)])


def test_phases_count_what_the_whole_counts():
    values = instrument().values(START_S + 100_000)
    phases = [values[Measurand(f"energy_import_l{number}_wh")] for number in (1, 2, 3)]
    assert sum(phases) == pytest.approx(values[Measurand.ENERGY_IMPORT_WH])
    assert values[Measurand.ENERGY_EXPORT_L1_WH] < values[Measurand.ENERGY_EXPORT_WH]
    assert values[Measurand.PULSE_COUNT] == int(values[Measurand.ENERGY_IMPORT_WH])


def test_gauges_add_what_they_know():
    assert instrument().values(START_S)[Measurand.TEMPERATURE_C] < 40


def test_another_meter_in_its_place_has_another_number():
    one = instrument()
    assert one.serial_number() == instrument().serial_number((Stuck(**SPAN),))
    assert one.serial_number((SwappedMeter(**SPAN),)) != one.serial_number()
    assert one.serial_number() != instrument(unit=2).serial_number()


def test_what_is_stuck_is_shown_as_of_then():
    later = UtcUs(START_US + 30 * US_PER_S)
    assert shown_second(later, (Stuck(**SPAN), Spike(**SPAN, register=Measurand.VOLTAGE_V, value=0))) == START_S
    assert shown_second(later, ()) == START_S + 30
