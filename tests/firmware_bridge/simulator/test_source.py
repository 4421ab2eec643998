"""Where a meter's power comes from."""

import numpy as np
import pytest

from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.battery import Battery
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.recording import Recording
from firmware_bridge.simulator.replay import Replay
from firmware_bridge.simulator.replay_map import ReplayMap, TimeColumn, ValueColumn
from firmware_bridge.simulator.source import HouseSource, ReplaySource, Site

START_S = 1_767_571_200
FORM = ReplayMap(
    source="test",
    cadence_s=900,
    rated_power_w=5_000,
    time=TimeColumn(column="at", stamps="start"),
    value=ValueColumn(column="p", unit="W"),
)


def test_a_minute_at_once_is_the_same_as_second_by_second():
    house = House(5)
    site = Site(house)
    for second in (START_S + 7, START_S + 59, START_S + 60, START_S + 3):
        at_us = np.array([second * 1_000_000])
        power = house.power_w(at_us)
        assert site.power_w(second) == (power.load_w[0], power.solar_w[0])
        mains = site.mains(second)
        assert mains.volts == tuple(house.voltage_v(at_us)[:, 0])
        assert mains.hertz == house.frequency_hz(at_us)[0]


def test_energy_follows_the_quantity():
    site = Site(House(5, outages_per_week=0))
    start_us, later_s = UtcUs(START_S * 1_000_000), START_S + 86_400
    grid, solar, load = (HouseSource(site, name, start_us).flow(later_s) for name in ("grid", "solar", "load"))
    assert solar.import_wh == 0
    assert solar.export_wh > 1_000
    assert load.export_wh == 0
    assert grid.import_wh - grid.export_wh == pytest.approx(load.import_wh - solar.export_wh)


def test_through_a_grid_that_is_out_nothing_flows_whatever_the_battery_does():
    house = House(11, outages_per_week=20)
    start_us = UtcUs(START_S * 1_000_000)
    at_us = start_us + np.arange(3 * 86_400, dtype=np.int64) * 1_000_000

    def surplus_w(instants_us: np.ndarray) -> np.ndarray:
        power = house.power_w(instants_us)
        return power.solar_w - power.load_w

    grid = HouseSource(Site(house, Battery(10_000, start_us, surplus_w)), "grid", start_us)
    is_up = house.grid_is_up(at_us)
    edges = np.flatnonzero(is_up[1:] != is_up[:-1])
    assert len(edges) > 4
    for place in edges.tolist():
        for second in range(place - 30, place + 30):
            if not is_up[second]:
                assert grid.flow(START_S + second).power_w == 0


def test_a_replay_shows_the_recorded_watts_on_live_mains():
    replay = Replay(Recording(UtcUs(START_S * 1_000_000), 900_000_000, np.array([1234.0, -50.0])), FORM)
    source = ReplaySource(Site(House(1, outages_per_week=0)), replay)
    first, second = source.flow(START_S + 899), source.flow(START_S + 900)
    assert (first.power_w, second.power_w) == (1234.0, -50.0)
    assert second.import_wh == pytest.approx(1234 / 4)
    assert all(215 < volt < 245 for volt in first.mains.volts)
