"""A cable that is pulled is told as such, and an adapter that comes back is found, whatever its name is then."""

import pytest
from gateway_side import GatewaySide
from protocols import Line, Rig

pytestmark = [pytest.mark.slow, pytest.mark.needs("cable")]

HEALTHY_S = 1.0


@pytest.fixture
def unit(rig: Rig, bus_name: str) -> int:
    return rig.meters[bus_name][0].unit


def test_a_pulled_cable_is_trouble_of_the_line_until_it_is_plugged_again(gateway: GatewaySide, line: Line, unit):
    assert gateway.read(unit, 0, 2, HEALTHY_S).words
    line.pull()
    assert [gateway.read(unit, 0, 2, HEALTHY_S).error for _ in range(3)] == ["LineError"] * 3
    line.plug()
    assert gateway.read(unit, 0, 2, HEALTHY_S).words


def test_an_adapter_that_comes_back_under_another_name_is_found_by_its_id(
    gateway: GatewaySide, line: Line, rig: Rig, bus_name, unit
):
    if not rig.buses[bus_name].config.url.startswith("serial://"):
        pytest.skip("an address of the network has no adapter")
    assert gateway.read(unit, 0, 2, HEALTHY_S).words
    line.pull()
    assert gateway.read(unit, 0, 2, HEALTHY_S).error == "LineError"
    line.plug("ttyUSB1")
    assert gateway.read(unit, 0, 2, HEALTHY_S).words
    line.plug("ttyUSB0")
    gateway.read(unit, 0, 2, HEALTHY_S)
    assert gateway.read(unit, 0, 2, HEALTHY_S).words
