"""A scenario made real: clock, site, meters and faults, ready to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.clock import Clock, ScaledClock, SystemClock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.cast import Cast
from firmware_bridge.simulator.faults import Device, Fault, FaultTable
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.map_reader import MAPS, load_profile_tree
from firmware_bridge.simulator.meter import Meter
from firmware_bridge.simulator.panel import Panel
from firmware_bridge.simulator.replay import Replay, open_replay
from firmware_bridge.simulator.scenario import Scenario, SiteSettings, faults_of, instant_us
from firmware_bridge.simulator.sender import Sender, SendingMeter

# Where a scenario without a date begins. Fixed, so that counters go on after a restart.
DEFAULT_START = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Stage:
    """All that a scenario asks for, but the clock and the log."""

    start_us: UtcUs
    rate: float
    # those that are asked, and those that send by themselves
    meters: list[Meter]
    sending_meters: list[SendingMeter]
    faults: list[Fault]

    def panel(self, clock: Clock, log: ValueLog) -> Panel:
        """The meters, answering by `clock` and noting in `log`."""
        return Panel(self.meters, FaultTable(self.faults), clock, log)

    def senders(self, log: ValueLog) -> list[Sender]:
        """What comes from devices that send by themselves, noted in `log`."""
        return [Sender(meter, FaultTable(self.faults), log) for meter in self.sending_meters]

    def clock(self, origin: Path | None) -> Clock:
        """The machine's time; with an origin simulated time, made here when nobody has yet.

        Raises:
            SettingError: the origin is unusable.
        """
        if origin is None:
            return SystemClock()
        if origin.exists():
            return ScaledClock(origin)
        try:
            return ScaledClock.create(origin, start_us=self.start_us, rate=self.rate)
        except OSError as error:
            raise SettingError(
                "--clock", str(origin), f"cannot be made ({error.strerror})", "name a file in an existing folder"
            ) from error


def set_stage(scenario: Scenario, folder: Path) -> Stage:
    """Open and check everything that `scenario` names; its paths are relative to `folder`.

    Raises:
        SettingError: whatever is wrong with it.
    """
    replay = _open_replay(scenario, folder)
    start_us = _start_us(scenario.site, replay)
    folders = [MAPS] if scenario.profiles is None else [folder / scenario.profiles, MAPS]
    trees = {one.profile: load_profile_tree(one.profile, folders) for one in scenario.meters}
    cast = Cast(scenario, trees, house_of(scenario), replay, start_us)
    devices = [cast.device(one) for one in scenario.meters]
    faults = faults_of(scenario, start_us)
    _check_faults(faults, {device.name: device for device in devices})
    meters = [device for device in devices if isinstance(device, Meter)]
    senders = [device for device in devices if isinstance(device, SendingMeter)]
    return Stage(start_us, scenario.site.rate, meters, senders, faults)


def _open_replay(scenario: Scenario, folder: Path) -> Replay | None:
    wanted = scenario.replay
    if wanted is None:
        return None
    begin_us = None if wanted.begin is None else instant_us("replay.begin", wanted.begin)
    return open_replay(folder / wanted.file, None if wanted.map is None else folder / wanted.map, begin_us)


def _start_us(settings: SiteSettings, replay: Replay | None) -> UtcUs:
    if settings.start is None and replay is not None:
        return replay.begin_us
    return instant_us("site.start", settings.start or DEFAULT_START)


def house_of(scenario: Scenario) -> House:
    """The home that its meters show."""
    settings = scenario.site
    return House(
        settings.seed,
        time_zone=settings.time_zone,
        solar_peak_w=settings.solar_peak_w,
        # A recording knows nothing of our outages: its watts would flow through a dead grid.
        outages_per_week=settings.outages_per_week if scenario.replay is None else 0.0,
    )


def _check_faults(faults: list[Fault], meters: Mapping[MeterId, Device]) -> None:
    for fault in faults:
        device = meters[fault.meter]
        register = getattr(fault, "register", None)
        if register is not None and register not in device.measurands:
            known = ", ".join(sorted(device.measurands))
            raise SettingError(
                "fault.register", repr(str(register)), f"is not shown by {fault.meter}", f"use one of: {known}"
            )
        if (problem := fault.misfit(device)) is not None:
            raise SettingError("fault.kind", repr(fault.kind), f"{fault.meter} {problem}", "choose another kind")
