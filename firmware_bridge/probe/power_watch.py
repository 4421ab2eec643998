"""The power of devices that were found, once a second, for the load step. A shell."""

from collections.abc import Sequence

from firmware_bridge.clock import Clock
from firmware_bridge.measurand import Measurand
from firmware_bridge.probe.asks import Read, Words
from firmware_bridge.probe.examination import Examination
from firmware_bridge.probe.line import LineUnderProbe
from firmware_bridge.probe.load_step import POWERS
from firmware_bridge.probe.plan import PATIENCE, deadline_s
from firmware_bridge.profile import Profile
from firmware_bridge.read_limits import aligned
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.registers import decode

PERIOD_S = 1.0


class Watched:
    """One device whose power is read."""

    def __init__(self, examination: Examination, profile: Profile) -> None:
        """`profile` as it lies in this device: one of the examination's."""
        self.unit, self.wire = examination.unit, examination.wire
        self.samples: list[dict[Measurand, float]] = []
        self._file = profile.file
        self._registers = [one for one in profile.registers if one.measurand in POWERS]

    async def read(self, line: LineUnderProbe, wait_s: float) -> None:
        """Take one sample."""
        sample: dict[Measurand, float] = {}
        for register in self._registers:
            first, count = aligned(self._file, register.start, register.end)
            timeout_s = deadline_s(self.wire, count, wait_s * PATIENCE)
            heard = await line.hear(Read(self.wire, self.unit, register.function, first, count, timeout_s))
            if isinstance(heard, Words):
                words = heard.words[register.start - first : register.end - first]
                if (value := decode(register, words)) is not None:
                    sample[register.measurand] = value
        self.samples.append(sample)


async def watch(
    line: LineUnderProbe, devices: Sequence[Watched], duration_s: float, wait_s: float, clock: Clock
) -> None:
    """One sample of each device every second, for `duration_s`; the line is closed at the end.

    Raises:
        LineError: the line went away.
    """
    begin_us = clock.utc_us()
    try:
        for place in range(round(duration_s / PERIOD_S)):
            await clock.sleep_until(UtcUs(begin_us + round(place * PERIOD_S * US_PER_S)))
            for device in devices:
                await device.read(line, wait_s)
    finally:
        line.close()
