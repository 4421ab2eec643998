"""A recorded CSV, read and checked as a whole before anything starts.

Everything a file can get wrong ends in a SettingError that names column, value and row. Rows are
counted from 1 after the header.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.replay_map import ReplayMap, TimeColumn, ValueColumn
from firmware_bridge.simulator.wall_clock import DAY_S, zone_named

# Two years of minutes are 50 MB of text; more does not belong into a demonstration's memory.
FILE_BYTES_MAX = 128 * 1024 * 1024
# Seconds since 1970 of the first and last year that datetime and a site's clock share with comfort.
_YEARS = (1970, 2100)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time, its zone is applied last
# What one row is worth in the measurand's unit.
_POWER_W_MAX = Measurand.ACTIVE_POWER_W.facts.plausible_high
# A breaker lets a fifth more through for longer than the intervals of a recording.
_OVERLOAD_MAX = 1.2
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Recording:
    """A checked recording: average power of equal, gapless intervals, positive when drawn."""

    first_us: UtcUs
    cadence_us: int
    power_w: F64  # [n]


def read_recording(path: Path, form: ReplayMap) -> Recording:
    """The recording at `path`, read as `form` says.

    Raises:
        SettingError: unreadable, a column missing, a cell that is no number or no time or more than
            the site can draw, rows that do not follow each other by the cadence, or none at all.
    """
    stamp_of = _stamp_reader(form.time)
    watts_per_unit = _watts_per_unit(form.value, form.cadence_s)
    stamps_s, watts = [], []
    for row, stamp, value in _cells(path, form.time.column, form.value.column):
        stamps_s.append(stamp_of(row, stamp))
        watts.append(_number(form.value.column, row, value) * watts_per_unit)
        _check_power(watts[-1], form, row, value)
    if not watts:
        raise SettingError("replay.file", str(path), "has no rows", "give a recording with data")
    if form.rows is not None and len(watts) != form.rows:
        raise SettingError(
            "replay.map rows",
            str(form.rows),
            f"{path.name} has {len(watts)} rows",
            "fetch the file again or correct it",
        )
    first_s = _check_cadence(stamps_s, form)
    first_s -= form.cadence_s if form.time.stamps == "end" else 0
    first_s -= _fixed_offset_s(form.time, first_s, len(watts) * form.cadence_s)
    return Recording(UtcUs(first_s * US_PER_S), form.cadence_s * US_PER_S, np.array(watts))


def _cells(path: Path, time_column: str, value_column: str) -> Iterator[tuple[int, str, str]]:
    """Row number, stamp and value of every row."""
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        places = [_place(path, header, name) for name in (time_column, value_column)]
        for row, cells in enumerate(filter(None, reader), start=1):
            if len(cells) <= max(places):
                raise SettingError(
                    "replay.file", str(path), f"row {row} has only {len(cells)} columns", "complete that row"
                )
            yield row, cells[places[0]].strip(), cells[places[1]].strip()
    except csv.Error as error:
        raise SettingError(
            "replay.file", str(path), f"is not CSV: {error} at line {reader.line_num}", "export it again"
        ) from error


def _place(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        there = ", ".join(header)[:200] or "none"
        raise SettingError(
            "replay.map column", repr(name), f"is not in {path.name}, which has: {there}", "name one of those"
        )
    return header.index(name)


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise SettingError("replay.file", str(path), f"cannot be read ({problem})", "check its path") from error
    if len(content) > FILE_BYTES_MAX:
        raise SettingError("replay.file", str(path), f"is longer than {FILE_BYTES_MAX >> 20} MB", "cut a part out")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError("replay.file", str(path), f"is not text: {error}", "export it as UTF-8 CSV") from error


def _number(column: str, row: int, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _bad_cell(column, text, row, "is not a number", "correct or fill that row")
    return number


def _check_power(power_w: float, form: ReplayMap, row: int, text: str) -> None:
    """The site's breaker tells a column of watts that is mapped as kW from one that is not."""
    if abs(power_w) > _POWER_W_MAX:
        problem, next_step = f"is more than {_POWER_W_MAX / 1e6:g} MW", f'correct value.unit = "{form.value.unit}"'
        raise _bad_cell(form.value.column, text, row, problem, f"{next_step} in the map")
    if abs(power_w) > form.rated_power_w * _OVERLOAD_MAX:
        raise SettingError(
            f"replay column {form.value.column}",
            repr(text[:_SHOWN_CHARS]),
            f"is {abs(power_w):.0f} W at row {row}, more than the map's rated_power_w = {form.rated_power_w:.0f}",
            f'correct value.unit = "{form.value.unit}" or rated_power_w in the map',
        )


def _watts_per_unit(value: ValueColumn, cadence_s: int) -> float:
    if value.unit == "relative":
        assert value.watts_per_unit is not None, "load_map has checked it"
        return value.watts_per_unit
    return {"W": 1.0, "kW": 1e3, "kWh": 1e3 * 3600 / cadence_s}[value.unit]


def _stamp_reader(time: TimeColumn) -> Callable[[int, str], int]:
    """A function from row and cell to wall seconds since 1970, or to seconds of the day for "hour"."""
    zone = zone_named(time.time_zone)

    def stamp(row: int, text: str) -> int:
        try:
            return _seconds(text, time.format, zone)
        except (ValueError, OverflowError) as error:
            raise _bad_cell(
                time.column, text, row, f'is not a time of the form "{time.format}"', "correct it or time.format"
            ) from error

    return stamp


def _seconds(text: str, form: str, zone: ZoneInfo) -> int:
    if form == "hour":
        hour = int(text)
        if not 0 <= hour <= 24:
            raise ValueError(hour)
        return hour * 3600
    at = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007 - wall time
    if at.tzinfo is not None:
        at = at.astimezone(zone).replace(tzinfo=None)
    if not _YEARS[0] <= at.year < _YEARS[1] or at.microsecond:
        raise ValueError(at)
    return (at - _EPOCH) // timedelta(seconds=1)


def _check_cadence(stamps_s: list[int], form: ReplayMap) -> int:
    """Wall seconds of the first row, once every row is where the cadence wants it."""
    found = np.array(stamps_s, dtype=np.int64)
    if form.time.rebuild_from is None:
        if form.time.format == "hour":
            raise SettingError(
                "replay.map time.format", '"hour"', "says no date", "add time.rebuild_from with the first row's"
            )
        _check_steps(np.diff(found), form)
        return int(found[0])
    try:
        first_s = _seconds(form.time.rebuild_from, "iso", zone_named("UTC"))
    except ValueError as error:
        raise SettingError(
            "replay.map time.rebuild_from", form.time.rebuild_from, "is not a time", "write 2018-01-01T00:15"
        ) from error
    rebuilt = first_s + np.arange(len(found), dtype=np.int64) * form.cadence_s
    wrong = np.flatnonzero(rebuilt % DAY_S != found % DAY_S)
    if wrong.size:
        raise _does_not_fit(
            form, int(wrong[0]) + 1, f"shows {_clock(found[wrong[0]])}, not {_clock(rebuilt[wrong[0]])}"
        )
    return first_s


def _check_steps(steps_s: I64, form: ReplayMap) -> None:
    wrong = np.flatnonzero(steps_s != form.cadence_s)
    if not wrong.size:
        return
    step_s, row = int(steps_s[wrong[0]]), int(wrong[0]) + 2
    if step_s < 0:
        raise _does_not_fit(form, row, "goes back in time")
    raise _does_not_fit(form, row, f"comes {step_s} s after the one before" if step_s else "repeats the time before")


def _does_not_fit(form: ReplayMap, row: int, what: str) -> SettingError:
    return SettingError(
        "replay.map cadence_s",
        str(form.cadence_s),
        f"does not fit: row {row} {what}",
        "correct cadence_s, or fill and sort the rows",
    )


def _fixed_offset_s(time: TimeColumn, first_s: int, span_s: int) -> int:
    """The zone's offset from UTC, which must not change within the recording."""
    zone = zone_named(time.time_zone)
    days = range(first_s, first_s + span_s, DAY_S)
    offsets = {datetime.fromtimestamp(day, UTC).replace(tzinfo=zone).utcoffset() for day in days}
    if len(offsets) > 1:
        raise SettingError(
            "replay.map time.time_zone",
            time.time_zone,
            "changes its clocks within the recording, and its stamps do not say which hour is meant",
            'name the zone without such changes, "UTC" or "Etc/GMT+8" (eight hours behind UTC)',
        )
    offset = offsets.pop()
    assert offset is not None
    return int(offset.total_seconds())


def _bad_cell(column: str, text: str, row: int, problem: str, next_step: str) -> SettingError:
    return SettingError(f"replay column {column}", repr(text[:_SHOWN_CHARS]), f"{problem} at row {row}", next_step)


def _clock(second: int) -> str:
    return f"{second % DAY_S // 3600:02d}:{second % 3600 // 60:02d}"
