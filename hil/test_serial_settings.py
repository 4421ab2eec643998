"""A line is read with its own speed and parity, and with no other."""

import msgspec
import pytest
from gateway_side import GatewaySide
from protocols import Rig

pytestmark = [pytest.mark.slow, pytest.mark.needs("parity")]

WRONG = [{"baud": 9600}, {"baud": 57600}, {"parity": "E"}, {"parity": "O"}, {"parity": "N"}]
SHORT_S, HEALTHY_S = 0.2, 1.0


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: "-".join(map(str, one.values())))
def test_a_wrong_setting_reads_nothing_and_the_right_one_everything(rig: Rig, bus_name, wrong, gateway: GatewaySide):
    bus = rig.buses[bus_name]
    if not bus.config.url.startswith("serial://"):
        pytest.skip("an address of the network has no speed")
    if msgspec.structs.replace(bus.config, **wrong) == bus.config:
        pytest.skip("that is what is right here")
    unit = rig.meters[bus_name][0].unit
    stranger = GatewaySide(rig.console, bus, **wrong)
    assert stranger.read(unit, 0, 6, SHORT_S).error in ("NoReplyError", "BadReplyError")
    stranger.close()
    assert gateway.read(unit, 0, 6, HEALTHY_S).words
