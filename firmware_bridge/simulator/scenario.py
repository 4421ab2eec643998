"""A scenario: which site, which meters, what is replayed, and what goes wrong when. Pure but for the replay's files.

Strict TOML. Instants are ISO 8601 (UTC when they name no zone) or, for faults, seconds from the
scenario's start.
"""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.config import Name, Positive, ProfileName, UnitId
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs
from firmware_bridge.settings import convert, read_toml
from firmware_bridge.simulator.faults import KINDS, Fault, Spike
from firmware_bridge.simulator.line_settings import LINES_MAX, LineSettings, check_lines
from firmware_bridge.simulator.sensor_frame import Body
from firmware_bridge.simulator.source import Quantity
from firmware_bridge.simulator.wall_clock import zone_named

# A scenario to start from, with every setting explained.
EXAMPLE = Path(__file__).with_name("example.toml")
# Far beyond any demonstration's speed; a sane bound for a typing mistake.
_RATE_MAX = 1e6
# 10,000 faults of six lines each.
_SCENARIO_BYTES_MAX = 2 * 1024 * 1024


class SiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The home, and the time it lives in."""

    # another seed is another home
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 1
    # where simulated time begins, and energy counters with it; for a replay its first instant
    start: str | None = None
    # simulated seconds per real second, for a clock that the simulator makes
    rate: Annotated[float, Meta(gt=0, le=_RATE_MAX)] = 1.0
    # IANA name; the home's habits follow its wall clock
    time_zone: str = "UTC"
    # watts of the panels under a high sun; 0 for none
    solar_peak_w: Annotated[float, Meta(ge=0, le=100_000)] = 4_000.0
    # 0 for a grid that never fails
    outages_per_week: Annotated[float, Meta(ge=0, le=20)] = 4.0
    # capacity of the battery, 0 for none; left out: 10,000 where a meter shows one, else none
    battery_wh: Annotated[float, Meta(ge=0, le=1e7)] | None = None


class MeterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One meter on the panel."""

    name: Name
    # Modbus unit id
    unit: UnitId
    # name of a profile in firmware_bridge/maps
    profile: ProfileName
    quantity: Quantity
    # seconds between telegrams of a device that sends by itself; left out: as its kind does
    period_s: Annotated[float, Meta(ge=0.1, le=3600)] | None = None
    # how a serial sensor writes its values
    body: Body = "json"


class ReplaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recording that meters with quantity "replay" show."""

    # CSV, plain or .gz; relative to the scenario's folder
    file: str
    # its map; found by the file's name when not given
    map: str | None = None
    # instant of its first interval; its own date when not given
    begin: str | None = None


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One misbehaviour."""

    kind: Literal[
        "stuck",
        "silent",
        "spike",
        "zero_dip",
        "roll_over",
        "sentinel",
        "swapped_meter",
        "byte_swapped",
        "exception",
        "wrong_clock",
        "sign_flip",
    ]
    meter: Name
    # ISO instant, or seconds from the start
    at: Annotated[str | float, Meta(description="instant", examples=["2026-01-05T12:00:00Z", 3600])]
    # simulated seconds
    for_s: Positive
    # a spike's measurand, with its false value, or what is added to the true one;
    # of a zero dip, roll-over or sentinel the only one it befalls
    register: Measurand | None = None
    value: float | None = None
    add: float | None = None
    # which exception
    code: Annotated[int, Meta(ge=1, le=255)] | None = None
    # how far a wrong clock is ahead; behind when negative
    shift_s: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None


class Scenario(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"meters": "meter", "lines": "line", "faults": "fault"},
):
    """The root."""

    meters: Annotated[list[MeterSettings], Meta(min_length=1, max_length=247)]
    # none: one line of Modbus TCP, where the command line says
    lines: Annotated[list[LineSettings], Meta(max_length=LINES_MAX)] = []
    site: SiteSettings = SiteSettings()
    # folder with meter profiles of your own, looked into before those of the program; beside the scenario
    profiles: str | None = None
    replay: ReplaySettings | None = None
    faults: Annotated[list[FaultSettings], Meta(max_length=10_000)] = []


def load_scenario(path: Path) -> Scenario:
    """The scenario in the file at `path`.

    Raises:
        SettingError: unreadable, or wrong in itself; names the field, the value and the next step.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_SCENARIO_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingError("--scenario", str(path), f"cannot be read ({reason})", "check its path") from error
    if len(data) > _SCENARIO_BYTES_MAX:
        raise SettingError("--scenario", str(path), f"is larger than {_SCENARIO_BYTES_MAX} bytes", "check its path")
    return parse_scenario(text, str(path))


def parse_scenario(text: str, file: str = "text") -> Scenario:
    """The scenario in `text`, which stood in `file`.

    Raises:
        SettingError: as `load_scenario`.
    """
    tree = {key: _plain(value) for key, value in read_toml(text, "scenario", file).items()}
    scenario = convert(tree, Scenario, "scenario.")
    zone_named(scenario.site.time_zone)
    _refuse_twins("meter.name", [meter.name for meter in scenario.meters])
    _refuse_twins("meter.unit", [meter.unit for meter in scenario.meters])
    check_lines(scenario.lines, [meter.unit for meter in scenario.meters])
    _check_replay(scenario)
    return scenario


def faults_of(scenario: Scenario, start_us: UtcUs) -> list[Fault]:
    """The scenario's faults, with instants.

    Raises:
        SettingError: one names no meter of the scenario, or lacks what its kind needs.
    """
    names = [meter.name for meter in scenario.meters]
    return [_fault(f"fault[{place}]", fault, names, start_us) for place, fault in enumerate(scenario.faults)]


def instant_us(field: str, text: str) -> UtcUs:
    """The instant that an ISO text names; UTC when it names no zone.

    Raises:
        SettingError: it names none.
    """
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return UtcUs(round(at.timestamp() * US_PER_S))
    except (ValueError, OverflowError) as error:
        raise SettingError(field, repr(text), "is not an instant", "write 2026-01-05T00:00:00Z") from error


def _fault(field: str, fault: FaultSettings, names: Sequence[str], start_us: UtcUs) -> Fault:
    if fault.meter not in names:
        known = ", ".join(names)
        raise SettingError(f"{field}.meter", repr(fault.meter), "is not a meter here", f"use one of: {known}")
    if isinstance(fault.at, str):
        from_us = instant_us(f"{field}.at", fault.at)
    else:
        from_us = UtcUs(start_us + round(fault.at * US_PER_S))
    until_us = UtcUs(from_us + round(fault.for_s * US_PER_S))
    meter = MeterId(fault.meter)
    kind = KINDS[fault.kind]
    return kind(meter=meter, from_us=from_us, until_us=until_us, **_options(field, fault, kind))


# What some kinds of fault have and others do not.
_OPTIONS = ("register", "value", "add", "code", "shift_s")


def _options(field: str, settings: FaultSettings, kind: type[Fault]) -> dict[str, Any]:
    """What `settings` give beyond meter and span, which must be what the kind of fault takes."""
    takes = {one.name: one for one in fields(kind) if one.name in _OPTIONS}
    given = {name: getattr(settings, name) for name in _OPTIONS if getattr(settings, name) is not None}
    if strangers := [name for name in given if name not in takes]:
        raise SettingError(field, repr(kind.kind), f"has no {' or '.join(strangers)}", "remove it")
    missing = [name for name, one in takes.items() if one.default is MISSING and name not in given]
    if kind is Spike and ("value" in given) == ("add" in given):
        missing.append("one of value and add")
    if missing:
        raise SettingError(field, repr(kind.kind), f"needs {' and '.join(missing)}", "add what is missing")
    return given


def _check_replay(scenario: Scenario) -> None:
    replaying = [meter.name for meter in scenario.meters if meter.quantity == "replay"]
    if replaying and scenario.replay is None:
        raise SettingError(
            f"meter.{replaying[0]}.quantity", "'replay'", "has nothing to replay", "add [replay] with file"
        )
    if scenario.replay is not None and not replaying:
        raise SettingError("replay.file", scenario.replay.file, "is shown by no meter", 'set a quantity = "replay"')


def _refuse_twins(field: str, values: Sequence[str | int]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SettingError(field, repr(value), "is given twice", "give each its own")


def _plain(tree: object) -> object:
    """TOML's own dates as ISO texts, so that an instant may be written with quotes or without."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    return tree.isoformat() if isinstance(tree, date) else tree
