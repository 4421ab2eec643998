"""What all lines share: faults come and go while they are served."""

import pytest

from firmware_bridge.simulator.line_settings import WireFaultSettings
from firmware_bridge.simulator.rtu_frames import rtu_frame
from tests.firmware_bridge.simulator.one_line import Master, answered, served, until

pytestmark = pytest.mark.slow

SERIAL = {"kind": "serial", "link": "rs485", "baud": 115200}


async def test_a_fault_of_the_scenario_unplugs_the_line_for_its_time(tmp_path):
    async with served(tmp_path, WireFaultSettings(kind="unplugged", for_s=0.1), **SERIAL) as line:
        await until(lambda: not line.is_plugged)
        await until(lambda: line.is_plugged)
        master = Master(tmp_path / "rs485", 115200)
        assert await master.answer_of(1) == rtu_frame(1, answered(1))
        master.close()


async def test_healing_takes_back_what_is_on_and_what_was_to_come(tmp_path):
    async with served(tmp_path, **SERIAL) as line:
        line.inject(WireFaultSettings(kind="unplugged"))
        line.inject(WireFaultSettings(kind="babble", at_s=1000.0))
        line.inject(WireFaultSettings(kind="silence"))
        await until(lambda: not line.is_plugged)
        await line.heal()
        assert line.is_plugged
        master = Master(tmp_path / "rs485", 115200)
        assert await master.answer_of(1) == rtu_frame(1, answered(1))
        master.close()
