"""The public door: every meter of every line, read once per sweep, as Readings. A shell.

A sweep always gives one Reading per series, in the same order; what could not be read is MISSING.
"""

import asyncio
import logging
from collections.abc import Sequence

from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import Clock
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.errors import BadReplyError, ExceptionReplyError, LineError, NoReplyError, SettingError
from firmware_bridge.meter import Meter, MeterHealth, News
from firmware_bridge.profile import Profile
from firmware_bridge.reading import MonotonicS, Reading, Series, UtcUs
from firmware_bridge.transport import ModbusTcpLine

log = logging.getLogger(__name__)


class Bridge:
    """Reads all meters of all lines: the lines concurrently, the meters of one line in turn."""

    def __init__(self, buses: Sequence[BusConfig], meters: Sequence[MeterConfig], clock: Clock) -> None:
        """Load the profiles and plan the reads; nothing is opened yet.

        Raises:
            SettingError: an unknown profile, which names its meter, or an address that cannot be one.
        """
        assert {meter.bus for meter in meters} <= {bus.name for bus in buses}, "each meter needs its bus"
        self._clock = clock
        self._meters = [Meter(config, _profile_of(config)) for config in meters]
        self._lines = [
            _Line(ModbusTcpLine(bus), [meter for meter in self._meters if meter.config.bus == bus.name], clock)
            for bus in buses
        ]
        self.series: list[Series] = [series for meter in self._meters for series in meter.series]

    async def sweep(self, tick_us: UtcUs, deadline_s: float) -> list[Reading]:
        """One Reading per series, in the order of `series`.

        A reading is stamped when its reply came; where none came, with `tick_us`. What is not back
        within `deadline_s` real seconds from now is missing. Trouble on a line never raises.
        """
        for meter in self._meters:
            meter.begin_sweep()
        until_s = MonotonicS(self._clock.monotonic_s() + deadline_s)
        try:
            async with asyncio.timeout(deadline_s), asyncio.TaskGroup() as lines:
                for line in self._lines:
                    lines.create_task(line.sweep(until_s))
        except TimeoutError:
            pass  # the meters know what they got
        now_s = self._clock.monotonic_s()
        readings: list[Reading] = []
        for meter in self._meters:
            row, news = meter.end_sweep(tick_us, now_s)
            readings += row
            _tell(news, meter)
        return readings

    def health(self) -> list[MeterHealth]:
        """How each meter has fared, in the order of the configuration."""
        return [meter.health() for meter in self._meters]

    async def close(self) -> None:
        """Drop all connections."""
        for line in self._lines:
            line.close()


def _profile_of(meter: MeterConfig) -> Profile:
    try:
        return load_profile(meter.profile)
    except SettingError as error:
        field = f"meter.{meter.name}.profile"
        raise SettingError(field, repr(meter.profile), error.problem, error.next_step) from error


class _Line:
    """The meters that share one connection."""

    def __init__(self, transport: ModbusTcpLine, meters: Sequence[Meter], clock: Clock) -> None:
        self._transport = transport
        self._meters = meters
        self._clock = clock

    async def sweep(self, until_s: MonotonicS) -> None:
        """Read each meter that is not resting, until the deadline."""
        now_s = self._clock.monotonic_s()
        turns = sorted((meter for meter in self._meters if not meter.is_resting(now_s)), key=lambda meter: meter.turn)
        for place, meter in enumerate(turns):
            # The sweep's own time-out cancels us; asyncio.wait_for of Python 3.11, which pymodbus
            # uses, can lose a cancellation that meets a reply.
            if self._clock.monotonic_s() >= until_s:
                return
            try:
                await self._read(meter)
            except LineError as error:
                for unreached in turns[place:]:
                    unreached.fail(error)
                return

    async def _read(self, meter: Meter) -> None:
        """Block after block; a meter that stays silent on one is not asked for the others."""
        for place, block in enumerate(meter.blocks):
            meter.ask()
            try:
                words = await self._transport.read(meter.config.unit, block.function, block.address, block.count)
            except NoReplyError as error:
                meter.fail(error)
                return
            except (ExceptionReplyError, BadReplyError) as error:
                meter.fail(error)
            else:
                meter.take(place, words, self._clock.utc_us())

    def close(self) -> None:
        """Drop the connection."""
        self._transport.close()


def _tell(news: News, meter: Meter) -> None:
    """Log the change, not the state: a meter that is dead for a week fills no log."""
    health = meter.health()
    match news:
        case News.SILENT:
            log.warning("meter silent: meter=%s error=%s", health.meter, health.last_error)
        case News.TROUBLED:
            log.warning("meter answers badly: meter=%s error=%s", health.meter, health.last_error)
        case News.BACK:
            log.info("meter back: meter=%s reads_failed=%d", health.meter, health.reads_failed)
        case News.NONE:
            pass
