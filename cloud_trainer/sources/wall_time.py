"""From what a wall clock showed to instants: which of two equal hours is meant, and which hour never was. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from gateway.contract.inputs import I64, Mask

# Clocks are changed on a full hour, on Lord Howe Island on a half.
_HALF_HOUR_US = 1_800_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time


class Instants(NamedTuple):
    """Where each row lies; `[rows]`. `us` says nothing where one of the other two is True, but in `twice`."""

    us: I64
    never: Mask  # clocks went from before it to after it
    unclear: Mask  # clocks showed it twice, and the file has it once
    twice: Mask  # clocks showed it twice, and the file has it so: the first is the earlier one


def instants(wall_us: I64, zone: ZoneInfo) -> Instants:
    """What the wall times of `zone`, in the order in which they were written, are in UTC.

    The instant at which clocks go forward may be called by its old name, as the end of what was before.
    """
    halves, half = np.unique(wall_us // _HALF_HOUR_US, return_inverse=True)
    early, late = (_offsets_us(halves, zone, fold=fold)[half] for fold in (0, 1))
    is_double = early > late
    is_gap = early < late
    begins = is_gap & (wall_us % _HALF_HOUR_US == 0) & ~_in_gap(wall_us - _HALF_HOUR_US, zone)
    number, count = _number_of_equals(wall_us, is_double)
    us = wall_us - np.where(is_double & (number > 0), late, early)
    return Instants(us, is_gap & ~begins, is_double & (count == 1), is_double & (count > 1))


def _in_gap(wall_us: I64, zone: ZoneInfo) -> Mask:
    halves, half = np.unique(wall_us // _HALF_HOUR_US, return_inverse=True)
    return np.asarray((_offsets_us(halves, zone, fold=0) < _offsets_us(halves, zone, fold=1))[half])


def _offsets_us(halves: I64, zone: ZoneInfo, *, fold: int) -> I64:
    """The zone's offset from UTC at wall times that are whole half hours; `fold` 1 is after a change."""
    found = np.empty(len(halves), dtype=np.int64)
    for number, one in enumerate(halves.tolist()):
        at = _EPOCH + timedelta(microseconds=one * _HALF_HOUR_US)
        offset = at.replace(tzinfo=zone, fold=fold).utcoffset()
        assert offset is not None
        found[number] = offset // timedelta(microseconds=1)
    return found


def _number_of_equals(wall_us: I64, chosen: Mask) -> tuple[I64, I64]:
    """Of the chosen rows: how many with the same wall time came before, and how many there are at all."""
    number, count = np.zeros(len(wall_us), dtype=np.int64), np.zeros(len(wall_us), dtype=np.int64)
    rows = np.flatnonzero(chosen)
    _, group, sizes = np.unique(wall_us[rows], return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    number[rows[order]] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    count[rows] = sizes[group]
    return number, count
