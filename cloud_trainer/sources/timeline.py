"""Where the rows of a recording lie in time: wall clocks, midnights, hours that came twice. Pure.

What cannot be told is left out, and what was put right is said: each by a named check.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.finding import Finding
from cloud_trainer.sources.mapping import FileForm
from cloud_trainer.sources.stamps import StampColumn, Stamps
from cloud_trainer.sources.wall_time import instants
from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import DAY_US
from gateway.contract.inputs import I64, Mask

_CORRECT_ZONE = 'name the zone its stamps follow, "Etc/GMT-1" for one that is an hour ahead of UTC all year'


class Timeline(NamedTuple):
    """The beginning of each row's interval, UTC, and which row of the file it is; `[rows]`, as they came."""

    us: I64
    row: I64
    findings: list[Finding]


def timeline(stamps: Stamps, form: FileForm) -> Timeline:
    """Where each row begins.

    Raises:
        SettingError: not one stamp could be read, or the first row's cannot be as the map says.
    """
    row = np.flatnonzero(stamps.known)
    if not row.size:
        next_step = "name the column of stamps, or say how they are written: time.format"
        raise SettingError("time column", repr(form.time_column), "holds no stamps that can be read", next_step)
    if form.rebuild_from is not None:
        return _rebuilt(stamps, form, form.rebuild_from)
    if form.time_format == "hour":
        next_step = "add time.rebuild_from with the first row's"
        raise SettingError("time.format", '"hour"', "says no date", next_step)
    findings: list[Finding] = []
    is_newest_first = len(row) > 1 and float((np.diff(stamps.us[row]) < 0).mean()) > 0.5
    if is_newest_first:
        row = row[::-1]
        findings.append(Finding("clock_steps", "note", "its newest rows come first", "they were turned round"))
    us, is_utc = stamps.us[row], stamps.is_utc[row]
    are_ends = form.stamps == "end"
    midnights = _old_midnights(us, form.cadence_us)
    if midnights.any():
        us = us + np.where(midnights, DAY_US, 0)
        # Only who stamps the end of an interval can mean the end of a day.
        are_ends = are_ends or form.stamps is None
        found = f"{midnights.sum()} rows of 00:00 carry the date of the day that they end"
        findings.append(Finding("clock_steps", "note", found, "they were read as the end of that day"))
    us, usable, told = _to_utc(us, is_utc, form.zone)
    us = us[usable] - (form.cadence_us if are_ends else 0)
    return Timeline(us, row[usable], [*findings, *told, *_steps_back(us, row[usable])])


def _rebuilt(stamps: Stamps, form: FileForm, first: str) -> Timeline:
    """Counted from the first row by the cadence; only the times of day are believed."""
    column = StampColumn("iso")
    if not column.add(first):
        raise SettingError("time.rebuild_from", repr(first), "is no time", "write 2018-01-01T00:15")
    wall_us = column.stamps().us[0] + np.arange(len(stamps.us), dtype=np.int64) * form.cadence_us
    wrong = np.flatnonzero(stamps.known & ((wall_us - stamps.us) % DAY_US != 0))
    findings = []
    if wrong.size:
        at = wrong[0]
        found = f"{wrong.size} rows show another time than counting gives: row {at + 1} shows {_clock(stamps.us[at])}"
        next_step = "fill or take out rows, or correct time.rebuild_from or cadence_s"
        findings.append(Finding("clock_steps", "error", f"{found}, not {_clock(wall_us[at])}", next_step))
    us, usable, told = _to_utc(wall_us, np.zeros(len(wall_us), dtype=np.bool_), form.zone)
    us = us[usable] - (form.cadence_us if form.stamps == "end" else 0)
    return Timeline(us, np.flatnonzero(usable), findings + told)


def _old_midnights(us: I64, cadence_us: int) -> Mask:
    """Rows of 00:00 that follow the last row of a day and carry its date, while the next one carries the next."""
    found = np.zeros(len(us), dtype=np.bool_)
    if len(us) < 2:
        return found
    ends_day = (us[1:] % DAY_US == 0) & (us[:-1] == us[1:] + DAY_US - cadence_us)
    goes_on = np.append(us[2:] > us[1:-1] + DAY_US, True)
    found[1:] = ends_day & goes_on
    return found


def _to_utc(us: I64, is_utc: Mask, zone: ZoneInfo) -> tuple[I64, Mask, list[Finding]]:
    """Wall times to instants; which of them can be believed, and what is to be said of that."""
    if is_utc.all():
        return us, np.ones(len(us), dtype=np.bool_), []
    wall = np.flatnonzero(~is_utc)
    found = instants(us[wall], zone)
    us = us.copy()
    us[wall] = found.us
    usable = np.ones(len(us), dtype=np.bool_)
    usable[wall[found.never | found.unclear]] = False
    return us, usable, list(_told_of_changes(us[wall], found.never, found.unclear, found.twice, zone))


def _told_of_changes(us: I64, never: Mask, unclear: Mask, twice: Mask, zone: ZoneInfo) -> Iterator[Finding]:
    if never.any():
        found = f"{never.sum()} rows have a time that {zone.key} never had, the first on {day_of(us[never][0], zone)}"
        yield Finding("missing_hours", "error", found, _CORRECT_ZONE)
    if unclear.any():
        found = f"{unclear.sum()} rows have a time that {zone.key} had twice, the first on "
        found += day_of(us[unclear][0], zone)
        yield Finding("duplicated_hours", "warning", found, "they were left out")
    if twice.any():
        days = len(np.unique(us[twice] // DAY_US))
        found = f"on {days} nights an hour is there twice, as clocks of {zone.key} had it"
        yield Finding("duplicated_hours", "note", found, "the first of the two was read as the earlier one")


def _steps_back(us: I64, row: I64) -> Iterator[Finding]:
    back = np.flatnonzero(np.diff(us) < 0)
    if back.size:
        at = back[0] + 1
        step_s = (us[at - 1] - us[at]) / 1e6
        found = f"time steps back {back.size} times, first by {step_s:g} s at row {row[at] + 1}"
        yield Finding("clock_steps", "warning", found, "the rows were sorted")


def day_of(us: int, zone: ZoneInfo) -> str:
    """The site's own date of an instant."""
    return f"{datetime.fromtimestamp(int(us) // 1_000_000, UTC).astimezone(zone):%d %b %Y}"


def _clock(us: int) -> str:
    minute = int(us) // 60_000_000
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"
