"""What to do where nobody measured: short gaps are bridged, long ones stay. Pure.

A `SiteSeries` keeps NaN. `filled` makes values for a *target* or a candidate that cannot stand gaps,
and says which of them it made; what a model takes as history needs no filling, for the contract has a
mask for it. Beyond six hours everything made up would be a guess, and stays NaN.
"""

from typing import NamedTuple

import numpy as np

from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import DAY_US
from gateway.contract.inputs import F64, I64, Mask
from gateway.contract.local_time import earlier_us, utc_offset_us
from gateway.contract.manifest import ForecastTarget

# Within an hour a load seldom does more than go from one value to the next.
LINEAR_US_MAX = DAY_US // 24
# Half a night, or half a working day: longer, and the week's profile says nothing about that day.
PROFILE_US_MAX = 6 * LINEAR_US_MAX
# The profile is the mean of the same local time in the weeks before: what comes later is not known then.
PROFILE_WEEKS = (1, 2, 3, 4)


class Filled(NamedTuple):
    """Average power of each step, NaN where it stays unknown, and which of the values were made up; `[steps]`."""

    power_w: F64
    was_filled: Mask


class Runs(NamedTuple):
    """Stretches of consecutive steps: the first of each, and the one behind its last."""

    first: I64
    end: I64

    @property
    def steps(self) -> I64:
        """How long each is."""
        return self.end - self.first


def runs(mask: Mask) -> Runs:
    """The stretches in which `mask` is True."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return Runs(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))


def filled(series: SiteSeries, target: ForecastTarget) -> Filled:
    """Gaps of up to an hour filled with a line, of up to six with the weekly profile."""
    power_w = series.power_w(target).copy()
    known = np.isfinite(power_w)
    gaps = runs(~known)
    is_inside = (gaps.first > 0) & (gaps.end < len(power_w))
    is_short = gaps.steps * series.step_us <= LINEAR_US_MAX
    on_line = np.flatnonzero(_steps_of(gaps, is_inside & is_short, len(power_w)))
    if on_line.size:
        power_w[on_line] = np.interp(on_line, np.flatnonzero(known), power_w[known])
    by_profile = _steps_of(gaps, ~is_short & (gaps.steps * series.step_us <= PROFILE_US_MAX), len(power_w))
    power_w[by_profile] = _profile_w(series, series.power_w(target), np.flatnonzero(by_profile))
    return Filled(power_w, ~known & np.isfinite(power_w))


def _steps_of(gaps: Runs, chosen: Mask, steps: int) -> Mask:
    """The steps that lie in the chosen gaps, `[steps]`."""
    edges = np.zeros(steps + 1, dtype=np.int8)
    edges[gaps.first[chosen]] = 1
    edges[gaps.end[chosen]] = -1
    return np.asarray(np.cumsum(edges)[:-1] > 0)


def _profile_w(series: SiteSeries, measured_w: F64, steps: I64) -> F64:
    """The mean of what was measured at the same local time in the weeks before; NaN where nothing was."""
    at_us = series.start_us + steps * series.step_us
    offset_us = utc_offset_us(at_us, series.zone)
    total, count = np.zeros(len(steps)), np.zeros(len(steps))
    for weeks in PROFILE_WEEKS:
        there = (earlier_us(at_us, offset_us, 7 * weeks, series.zone) - series.start_us) // series.step_us
        value = np.where(there >= 0, measured_w[np.maximum(there, 0)], np.nan)
        is_known = np.isfinite(value)
        total += np.where(is_known, value, 0.0)
        count += is_known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
