"""The public door: every meter of every line, read once per sweep, as Readings. A shell.

A sweep always gives one Reading per series, in the same order; what could not be read is MISSING.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from firmware_bridge.bus import Ask, Bus, Station
from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import Clock
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.counter import CounterState
from firmware_bridge.errors import BusError, LineError, SettingError
from firmware_bridge.listener import Listener
from firmware_bridge.measurand import Measurand
from firmware_bridge.meter import Meter, MeterHealth, News
from firmware_bridge.profile import Profile
from firmware_bridge.reading import MeterId, MonotonicS, Reading, Series, UtcUs
from firmware_bridge.transport import ModbusLine
from firmware_bridge.wire import is_rtu, wire_cost

log = logging.getLogger(__name__)


class Bridge:
    """Reads all meters of all lines: the lines concurrently, the meters of one line in turn."""

    def __init__(
        self,
        buses: Sequence[BusConfig],
        meters: Sequence[MeterConfig],
        clock: Clock,
        profile_folders: Sequence[Path] = (),
        counters: Mapping[Series, CounterState] | None = None,
    ) -> None:
        """Load the profiles and plan the reads; nothing is opened yet.

        `counters` is what `counters` of an earlier run gave.

        Raises:
            SettingError: an unknown profile, which names its meter, or an address that cannot be one.
        """
        assert {meter.bus for meter in meters} <= {bus.name for bus in buses}, "each meter needs its bus"
        self._clock = clock
        kept: dict[str, dict[Measurand, CounterState]] = {meter.name: {} for meter in meters}
        for series, state in (counters or {}).items():
            kept.setdefault(series.meter, {})[series.measurand] = state
        self._meters = {
            meter.name: Meter(meter, _profile_of(meter, profile_folders), kept[meter.name]) for meter in meters
        }
        self._lines: list[_ModbusLine | Listener] = []
        for bus in buses:
            here = [self._meters[one.name] for one in meters if one.bus == bus.name]
            _refuse_strangers(bus, here)
            self._lines.append(
                _ModbusLine(bus, here, clock) if bus.protocol == "modbus" else Listener(bus, here, clock)
            )
        self.series: list[Series] = [series for meter in self._meters.values() for series in meter.series]

    async def sweep(self, tick_us: UtcUs, deadline_s: float) -> list[Reading]:
        """One Reading per series, in the order of `series`.

        A reading is stamped when its reply came; where none came, with `tick_us`. What is not back
        within `deadline_s` real seconds from now is missing. Trouble on a line never raises.
        """
        until_s = MonotonicS(self._clock.monotonic_s() + deadline_s)
        try:
            async with asyncio.timeout(deadline_s), asyncio.TaskGroup() as lines:
                for line in self._lines:
                    lines.create_task(line.sweep(tick_us, until_s))
        except TimeoutError:
            pass  # the meters know what they got
        for line in self._lines:
            line.end_sweep()
        readings: list[Reading] = []
        for meter in self._meters.values():
            row, news = meter.end_sweep(tick_us)
            readings += row
            _tell(news, meter)
            for event in meter.take_events():
                evidence = msgspec.json.encode(event).decode()
                log.warning("counter %s: meter=%s evidence=%s", event.kind, meter.config.name, evidence)
        return readings

    def health(self) -> list[MeterHealth]:
        """How each meter has fared, in the order of the configuration."""
        return [meter.health() for meter in self._meters.values()]

    @property
    def counters(self) -> dict[Series, CounterState]:
        """What the counters of all meters remember, to be kept over a restart."""
        return {
            Series(MeterId(name), measurand): state
            for name, meter in self._meters.items()
            for measurand, state in meter.counters.items()
        }

    async def close(self) -> None:
        """Drop all connections."""
        for line in self._lines:
            line.close()


def _profile_of(meter: MeterConfig, folders: Sequence[Path]) -> Profile:
    try:
        return load_profile(meter.profile, folders)
    except SettingError as error:
        field = f"meter.{meter.name}.profile"
        raise SettingError(field, repr(meter.profile), error.problem, error.next_step) from error


def _refuse_strangers(bus: BusConfig, here: Sequence[Meter]) -> None:
    """A device speaks what its line speaks."""
    for meter in here:
        spoken = meter.profile.file.protocol
        if spoken != bus.protocol:
            raise SettingError(
                f"meter.{meter.config.name}.profile",
                repr(meter.profile.name),
                f"speaks {spoken}, and the bus {bus.name} is for {bus.protocol}",
                f'give the bus protocol = "{spoken}", or the meter another bus',
            )


class _ModbusLine:
    """The meters that share one connection: does what the bus says, and tells it what came."""

    def __init__(self, bus: BusConfig, here: Sequence[Meter], clock: Clock) -> None:
        cost = wire_cost(bus)
        stations = [Station(meter, cost, bus.timeout_s, phase=place / len(here)) for place, meter in enumerate(here)]
        self._name, self._transport = bus.name, ModbusLine(bus)
        self._connect_pause_s = max((meter.profile.file.connect_pause_s for meter in here), default=0.0)
        self._rested_at_s = MonotonicS(0.0)
        self._bus = Bus(stations, cost, has_late_replies=is_rtu(bus))
        self._clock = clock

    async def sweep(self, tick_us: UtcUs, until_s: MonotonicS) -> None:
        """Ask whoever's turn it is, until all had theirs or `until_s`."""
        self._bus.begin_sweep(tick_us, self._clock.monotonic_s(), until_s)
        if self._bus.has_turns and not self._transport.is_open:
            await self._open()
        if until_s < self._rested_at_s:
            return
        await self._clock.rest_until(self._rested_at_s)
        while (step := self._bus.next(self._clock.monotonic_s())) is not None:
            if isinstance(step, Ask):
                await self._ask(step)
            else:
                await self._clock.rest_until(step.until_s)

    async def _open(self) -> None:
        """Open it before anybody is asked: some devices want to be left alone after that."""
        try:
            await self._transport.open()
        except LineError as error:
            self._bus.not_open(error, self._clock.monotonic_s())
            return
        except asyncio.CancelledError:
            late = LineError(f"no connection by the deadline of the sweep: bus={self._name}")
            self._bus.not_open(late, self._clock.monotonic_s())
            raise
        self._rested_at_s = MonotonicS(self._clock.monotonic_s() + self._connect_pause_s)

    async def _ask(self, ask: Ask) -> None:
        block, began_s = ask.block, self._clock.monotonic_s()
        try:
            words = await self._transport.read(
                ask.station.unit, block.function, block.address, block.count, ask.timeout_s
            )
        except BusError as error:
            self._bus.failed(ask, error, self._clock.monotonic_s())
        except asyncio.CancelledError:
            self._bus.broke_off(ask, self._clock.monotonic_s())
            raise
        else:
            now_s = self._clock.monotonic_s()
            self._bus.took(ask, words, now_s, self._clock.utc_us(), now_s - began_s)
        for frame in self._transport.take_late():
            self._bus.came_late(frame.unit, frame.function, frame.count)

    def end_sweep(self) -> None:
        """The sweep is over, in time or not."""
        self._bus.end_sweep(self._clock.monotonic_s())

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
