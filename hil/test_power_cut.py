"""The power goes, whatever the gateway is doing; it comes back, and so does the gateway."""

import threading

import pytest
from protocols import Rig

pytestmark = [pytest.mark.slow, pytest.mark.needs("power", "request-counts")]

# Reads of a meter that show that the gateway is at work.
READS = 3
# Real seconds for that; a gateway reads every second.
WORK_S_MAX = 30.0
_POLL_S = 0.05


def works(rig: Rig) -> bool:
    """Whether the gateway comes to ask the reference meter again."""
    meter = next(iter(rig.meters.values()))[0]
    enough = meter.requests() + READS
    pause = threading.Event()
    return any(meter.requests() >= enough or pause.wait(_POLL_S) for _ in range(round(WORK_S_MAX / _POLL_S)))


def test_a_gateway_whose_power_is_cut_works_again_when_it_is_back(rig: Rig):
    rig.power.on()
    assert works(rig)
    rig.power.cut()
    rig.power.on()
    assert works(rig)
    rig.power.off()
