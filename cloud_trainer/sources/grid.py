"""From rows at their instants to steps of one width: one value for each, or none. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from cloud_trainer.finding import Finding, Severity
from cloud_trainer.gaps import runs
from cloud_trainer.sources.mapping import FileForm
from cloud_trainer.sources.timeline import day_of
from firmware_bridge.errors import SettingError
from gateway.contract.inputs import F64, I64, Mask
from gateway.contract.local_time import utc_offset_us

# Twenty years of minutes.
STEPS_MAX = 12_000_000
# A recording with fewer rows than a hundredth of its steps has a stray stamp, decades away; a short one may be thin.
_STEPS_PER_ROW_MAX, _STEPS_ALLOWED = 100, 100_000
_HOUR_US = 3_600_000_000
# Rows come a little early and late; further off, it is another cadence.
_CADENCE_TOLERANCE = 0.05
# When clocks are changed: nights to Sunday before 4:00, in spring or autumn of either half of the earth.
_CHANGE_HOURS, _CHANGE_MONTHS, _SUNDAY = range(4), (3, 4, 9, 10, 11), 6
_NAME_ZONE = "name the site's time zone"


class Grid(NamedTuple):
    """Steps from `start_us`: the values of each column, NaN where no row says them; `[columns][steps]`."""

    start_us: int
    columns: list[F64]
    findings: list[Finding]


def grid(us: I64, columns: Sequence[F64], form: FileForm, *, by_wall_clock: bool) -> Grid:
    """The rows, which begin at `us` in any order, as steps.

    Args:
        us: where the interval of each row begins, UTC.
        columns: the values of the rows, column by column.
        form: how the file is read.
        by_wall_clock: whether its stamps said no offset, so that clocks may have been changed unseen.

    Raises:
        SettingError: they are decades apart.
    """
    cadence_us = form.cadence_us
    order = np.argsort(us, kind="stable")
    us = us[order]
    found = _other_cadence(us, cadence_us)
    if found is not None:
        return Grid(int(us[0]) // cadence_us * cadence_us, [_one_each(us, cadence_us)] * len(columns), [found])
    phase_us = _phase_us(us, cadence_us)
    step = (us - phase_us + cadence_us // 2) // cadence_us
    start = int(step[0])
    steps = int(step[-1]) - start + 1
    if steps > min(max(_STEPS_PER_ROW_MAX * len(us), _STEPS_ALLOWED), STEPS_MAX):
        problem = f"reaches from {day_of(us[0], form.zone)} to {day_of(us[-1], form.zone)} with {len(us)} rows"
        raise SettingError("time column", repr(form.time_column), problem, "correct the stamps that lie apart")
    step -= start
    is_first = np.append(True, np.diff(step) != 0)
    conflicting = np.zeros(steps, dtype=np.bool_)
    gridded = []
    for column in columns:
        values = column[order]
        on_grid = np.full(steps, np.nan)
        on_grid[step[is_first]] = values[is_first]
        is_other = ~np.isclose(values, on_grid[step], rtol=1e-9, atol=0, equal_nan=True)
        conflicting[step[is_other]] = True
        gridded.append(on_grid)
    for on_grid in gridded:
        on_grid[conflicting] = np.nan
    findings = [*_phase(phase_us), *_duplicates(step[~is_first], conflicting, start, form)]
    if by_wall_clock:
        findings += _missing_hours(step[is_first], steps, start, form)
    return Grid(start * cadence_us, gridded, findings)


def _other_cadence(us: I64, cadence_us: int) -> Finding | None:
    """Rows that do not come as somebody said."""
    apart = np.diff(us)
    apart = apart[apart > 0]
    usual_us = float(np.median(apart)) if apart.size else cadence_us
    if abs(usual_us - cadence_us) <= _CADENCE_TOLERANCE * cadence_us:
        return None
    found = f"rows come every {usual_us / 1e6:g} s, not every {cadence_us / 1e6:g} s"
    return Finding("cadence", "error", found, "correct the cadence")


def _one_each(us: I64, cadence_us: int) -> F64:
    """What stands for the values where nobody can say which step they belong to: as few steps as need be, unknown."""
    return np.full(min(int((us[-1] - us[0]) // cadence_us) + 1, len(us)), np.nan)


def _phase_us(us: I64, cadence_us: int) -> int:
    """How long after the beginning of a step rows usually begin."""
    found, count = np.unique(us % cadence_us, return_counts=True)
    return int(found[np.argmax(count)])


def _phase(phase_us: int) -> Iterator[Finding]:
    if phase_us:
        found = f"its rows begin {phase_us / 1e6:g} s after the steps of UTC"
        yield Finding("cadence", "note", found, "each was read as the step it begins in")


def _duplicates(more: I64, conflicting: Mask, start: int, form: FileForm) -> Iterator[Finding]:
    """Steps that more than one row is about; `more` are those of the second rows and further ones."""
    if not more.size:
        return
    first_us = (start + int(more[0])) * form.cadence_us
    found = f"{more.size} rows repeat the time of another, the first on {day_of(first_us, form.zone)}"
    found += f", {conflicting.sum()} steps with other values" if conflicting.any() else ", with the same values"
    looks_changed = (int(more[-1]) - int(more[0]) + 1) * form.cadence_us <= _HOUR_US and _is_change(first_us, form)
    next_step = f"clocks were set back: {_NAME_ZONE}" if looks_changed else "take one of the two out"
    is_much = more.size * form.cadence_us >= _HOUR_US
    yield Finding("duplicated_hours", "error" if is_much else "warning", found, next_step)


def _missing_hours(present: I64, steps: int, start: int, form: FileForm) -> Iterator[Finding]:
    """An hour without rows where clocks may have gone forward: then half a year is an hour off."""
    there = np.zeros(steps, dtype=np.bool_)
    there[present] = True
    gaps = runs(~there)
    of_an_hour = gaps.first[gaps.steps * form.cadence_us == _HOUR_US]
    at_us = next((at for at in ((start + of_an_hour) * form.cadence_us).tolist() if _is_change(at, form)), None)
    if at_us is not None:
        severity: Severity = "warning" if form.zone_is_named else "error"
        found = f"one hour is missing in the night to Sunday, {day_of(at_us, form.zone)}, as where clocks go forward"
        yield Finding("missing_hours", severity, found, _NAME_ZONE)


def _is_change(at_us: int, form: FileForm) -> bool:
    """Whether clocks may have been changed then, by stamps that know nothing of it."""
    offset_us = int(utc_offset_us(np.array([at_us]), form.zone)[0])
    at = datetime.fromtimestamp((at_us + offset_us) // 1_000_000, UTC)
    return at.weekday() == _SUNDAY and at.hour in _CHANGE_HOURS and at.month in _CHANGE_MONTHS
