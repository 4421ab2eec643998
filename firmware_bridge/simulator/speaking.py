"""Devices that send by themselves, on their lines, at their period. A shell."""

from collections.abc import Sequence

from firmware_bridge.clock import Clock
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.line import Line
from firmware_bridge.simulator.sender import Sender


async def speak_for_ever(sender: Sender, lines: Sequence[Line], clock: Clock) -> None:
    """Send what `sender` has to say on all of `lines`, at whole multiples of its period.

    What a line has no time for is left out, as by a device that is busy sending.
    """
    period_us = round(sender.period_s * US_PER_S)
    while True:
        at_us = UtcUs((clock.utc_us() // period_us + 1) * period_us)
        await clock.sleep_until(at_us)
        data = sender.frame(at_us)
        for line in lines:
            await line.speak(sender.unit, data)
