"""How to read a file: which columns, in which unit, stamped how. From a replay's map, or from options. Pure."""

import re
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.replay_map import ReplayMap, ValueColumn
from firmware_bridge.simulator.wall_clock import zone_named
from gateway.contract.forecast_spec import DAY_US

Unit = Literal["W", "kW", "MW", "Wh", "kWh", "MWh"]
# A power, and an energy of the interval, in watts and watt-hours.
_WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_WATT_HOURS = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6}
UNITS = (*_WATTS, *_WATT_HOURS)

_US = {"s": 1_000_000, "min": 60_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": DAY_US}
_DURATION = re.compile(rf"(\d{{1,6}}) ?({'|'.join(_US)})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Power:
    """A column of powers, or of energies of an interval, and what one of its units is in watts.

    `watts_per_unit` None: nobody said; a power of ten is chosen that makes it a site of a kilowatt or more.
    """

    column: str
    watts_per_unit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    """How to read one file."""

    cadence_us: int
    time_column: str
    consumption: Power
    production: Power | None = None
    # "iso" for whatever tells itself, "hour", or a strptime form
    time_format: str = "iso"
    # what a stamp names of its interval; None: the start, unless the rows of midnight say otherwise
    stamps: Literal["start", "end"] | None = None
    # of stamps without an offset, and of the site
    zone: ZoneInfo
    # whether somebody said so
    zone_is_named: bool
    # wall time of the first stamp, where dates cannot be trusted
    rebuild_from: str | None = None
    # what the site's main breaker lets through
    rated_power_w: float | None = None
    # how many rows there must be
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.cadence_us <= 0 or DAY_US % self.cadence_us:
            next_step = 'give one that is, as "15min"'
            raise SettingError("cadence", f"{self.cadence_us / 1e6:g} s", "is no part of a day", next_step)

    @property
    def powers(self) -> tuple[Power, ...]:
        """The columns of powers that are read: consumption first."""
        return (self.consumption,) if self.production is None else (self.consumption, self.production)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read: the stamps first."""
        return (self.time_column, *(power.column for power in self.powers))


def form_of_map(found: ReplayMap) -> FileForm:
    """What a map says.

    Raises:
        SettingError: its time zone is unknown, or its cadence no part of a day.
    """
    cadence_us = found.cadence_s * 1_000_000
    return FileForm(
        cadence_us=cadence_us,
        time_column=found.time.column,
        consumption=_power(found.value, cadence_us),
        production=None if found.production is None else _power(found.production, cadence_us),
        time_format=found.time.format,
        stamps=found.time.stamps,
        zone=zone_named(found.time.time_zone),
        zone_is_named=found.time.time_zone != "UTC",
        rebuild_from=found.time.rebuild_from,
        rated_power_w=found.rated_power_w,
        rows=found.rows,
    )


def form_of_options(
    *, time: str, value: str, cadence: str, unit: str | None = None, time_zone: str | None = None
) -> FileForm:
    """What a command was told of one series.

    Args:
        time: name of the column of stamps.
        value: name of the column of powers.
        cadence: from row to row, "15min".
        unit: one of `UNITS`; None where nobody knows.
        time_zone: IANA name; None where nobody knows.

    Raises:
        SettingError: one of them cannot be.
    """
    cadence_us = duration_us("--cadence", cadence)
    if unit is not None and unit not in UNITS:
        raise SettingError("--unit", repr(unit), "is no unit of power or energy", f"use one of {', '.join(UNITS)}")
    return FileForm(
        cadence_us=cadence_us,
        time_column=time,
        consumption=Power(value, None if unit is None else _watts_per(unit, cadence_us)),
        zone=zone_named(time_zone or "UTC"),
        zone_is_named=time_zone is not None,
    )


def duration_us(field: str, text: str) -> int:
    """Microseconds of "15min", "24h", "30s", "1d".

    Raises:
        SettingError: `text`, which was given as `field`, is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise SettingError(field, repr(text), "is no length of time", 'write it like "15min", "1h" or "900s"')
    return int(match[1]) * _US[match[2]]


def _power(value: ValueColumn, cadence_us: int) -> Power:
    if value.unit == "relative":
        return Power(value.column, value.watts_per_unit)
    return Power(value.column, _watts_per(value.unit, cadence_us))


def _watts_per(unit: str, cadence_us: int) -> float:
    return _WATTS[unit] if unit in _WATTS else _WATT_HOURS[unit] * 3_600_000_000 / cadence_us
