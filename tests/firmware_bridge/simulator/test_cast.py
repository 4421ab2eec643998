"""Devices made from settings and profiles."""

import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.cast import Cast
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.map_reader import MAPS, load_profile_tree
from firmware_bridge.simulator.meter import Meter
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.sender import SendingMeter

METER = '[[meter]]\nname = "one"\nunit = 3\nprofile = "{}"\nquantity = "grid"\n'
START_US = UtcUs(1_767_571_200_000_000)


@pytest.mark.parametrize("profile", sorted(path.stem for path in MAPS.glob("*.toml")))
def test_every_profile_of_the_product_becomes_a_device_that_knows_all_it_shows(profile):
    scenario, tree = parse_scenario(METER.format(profile)), load_profile_tree(profile)
    device = Cast(scenario, {profile: tree}, House(1), None, START_US).device(scenario.meters[0])
    assert isinstance(device, SendingMeter if tree.get("protocol", "modbus") != "modbus" else Meter)
    assert device.values(START_US // 1_000_000).keys() >= device.measurands
    assert device.measurands


def test_a_protocol_that_nobody_speaks_is_named():
    scenario = parse_scenario(METER.format("semaphore"))
    cast = Cast(scenario, {"semaphore": {"protocol": "flags"}}, House(1), None, START_US)
    with pytest.raises(SettingError, match="has protocol 'flags', which cannot be simulated"):
        cast.device(scenario.meters[0])
