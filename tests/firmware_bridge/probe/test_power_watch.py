import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.measurand import Measurand
from firmware_bridge.probe.asks import Wire
from firmware_bridge.probe.examination import examine
from firmware_bridge.probe.plan import WAIT_SERIAL_S
from firmware_bridge.probe.power_watch import Watched, watch
from tests.firmware_bridge.probe.devices import EVENING, Rig, meter

WIRE = Wire(kind="serial")
SDM630 = load_profile("eastron_sdm630")


class Line(Rig):
    """A rig that is spoken to like a line."""

    is_closed = False

    async def hear(self, ask):
        return super().hear(ask)

    def close(self) -> None:
        self.is_closed = True


class QuickClock:
    """Time that passes at once."""

    rate = 1.0

    def __init__(self) -> None:
        self.now_us = 0

    def utc_us(self):
        return self.now_us

    async def sleep_until(self, at_us):
        self.now_us = max(self.now_us, at_us)


def watched() -> Watched:
    rig, steps, heard = Rig({(WIRE, 3): meter("eastron_sdm630")}), examine(WIRE, 3, [SDM630], WAIT_SERIAL_S), None
    try:
        while True:
            heard = rig.hear(steps.send(heard))
    except StopIteration as end:
        return Watched(end.value, SDM630)


async def test_power_is_read_once_a_second():
    device, clock = watched(), QuickClock()
    line = Line({(WIRE, 3): meter("eastron_sdm630")})
    await watch(line, [device], 5.0, WAIT_SERIAL_S, clock)
    assert line.is_closed
    assert clock.now_us == 4_000_000
    assert len(device.samples) == 5
    assert device.samples[0] == {
        Measurand(name): pytest.approx(value) for name, value in EVENING.items() if name.startswith("active_power")
    }


async def test_a_silent_second_is_an_empty_sample():
    device = watched()
    await watch(Line(), [device], 2.0, WAIT_SERIAL_S, QuickClock())
    assert device.samples == [{}, {}]
