"""What an inverter knows of the home."""

import numpy as np
import pytest

from firmware_bridge.measurand import OPERATING_STATES, Measurand
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.battery import Battery
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.plant import Plant
from firmware_bridge.simulator.source import HouseSource, Site

START_S = 1_767_571_200
START_US = UtcUs(START_S * US_PER_S)
NOON_S = START_S + 12 * 3600


def site(*, battery: bool = True, outages: float = 0.0) -> Site:
    house = House(3, outages_per_week=outages)

    def surplus_w(at_us: I64) -> F64:
        power = house.power_w(at_us)
        return power.solar_w - power.load_w

    return Site(house, Battery(10_000.0, START_US, surplus_w) if battery else None)


def test_everything_it_promises_is_plausible():
    plant = Plant(site(outages=10), START_US)
    for second in range(0, 3 * 86_400, 1_234):
        values = plant.values(START_S + second)
        assert set(values) == plant.measurands
        for measurand, value in values.items():
            assert measurand.facts.plausible_low <= value <= measurand.facts.plausible_high, measurand


def test_what_the_panels_give_goes_to_the_load_the_battery_and_the_grid():
    one = site()
    grid, battery = HouseSource(one, "grid", START_US), HouseSource(one, "battery", START_US)
    for second in (0, 30_000, 43_200, 70_000):
        at_s = START_S + second
        load_w, solar_w = one.power_w(at_s)
        values = Plant(one, START_US).values(at_s)
        assert values[Measurand.BATTERY_POWER_W] == battery.flow(at_s).power_w
        assert grid.flow(at_s).power_w == pytest.approx(load_w - solar_w + values[Measurand.BATTERY_POWER_W])
        assert values[Measurand.PV1_POWER_W] + values[Measurand.PV2_POWER_W] == pytest.approx(
            values[Measurand.PV_POWER_W]
        )
        assert values[Measurand.BATTERY_POWER_W] == pytest.approx(
            values[Measurand.BATTERY_VOLTAGE_V] * values[Measurand.BATTERY_CURRENT_A]
        )


def test_energy_given_by_the_battery_is_what_its_meter_counts():
    one = site()
    plant, meter = Plant(one, START_US), HouseSource(one, "battery", START_US)
    later_s = START_S + 2 * 86_400
    given_wh = [plant.values(at_s)[Measurand.BATTERY_DISCHARGE_WH] for at_s in (START_S, later_s)]
    assert given_wh[1] - given_wh[0] == pytest.approx(meter.flow(later_s).export_wh)
    assert given_wh[1] > given_wh[0]


def test_it_runs_by_day_sleeps_at_night_and_is_off_without_a_grid():
    plant = Plant(site(), START_US)
    states = [OPERATING_STATES[int(plant.values(at_s)[Measurand.OPERATING_STATE])] for at_s in (START_S, NOON_S)]
    assert states == ["sleeping", "running"]
    dark = site(outages=20)
    at_us = START_US + np.arange(3 * 1440, dtype=np.int64) * 60 * US_PER_S
    out_us = int(at_us[~dark.house.grid_is_up(at_us)][0])
    assert Plant(dark, START_US).values(out_us // US_PER_S)[Measurand.OPERATING_STATE] == OPERATING_STATES.index(
        "off"
    )


def test_a_home_without_a_battery_shows_none():
    values = Plant(site(battery=False), START_US).values(NOON_S)
    assert {value for name, value in values.items() if "battery" in name or "charge" in name} == {0.0}
