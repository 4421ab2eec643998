"""The time grid: readings of one sweep become one aligned row, rows become recording periods. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.map_file import SLOW_PERIOD_S_MAX
from firmware_bridge.reading import US_PER_S, Quality, Reading, Series, UtcUs, floor_us
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, ReadingsBlock

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

# Ten times the largest plausible value of any measurand. A float register read in the wrong word
# order shows up to 1e308, and one such value would swallow every sum it gets into.
VALUE_MAX = 1e13


@dataclass(frozen=True, slots=True)
class GridRow:
    """All series at one tick; never changed after it is made.

    `values` is float64 with NaN exactly where `quality` is MISSING, in the order of the series.
    """

    tick_us: UtcUs
    values: F64
    quality: U8

    @property
    def good_values(self) -> F64:
        """The values to build on: NaN where `quality` is not GOOD."""
        return np.where(self.quality == Quality.GOOD, self.values, np.nan)


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """A recording period that is over: its block for the store, its aggregates for the window."""

    block: ReadingsBlock
    aggregates: list[Aggregate]


def align(tick_us: UtcUs, readings: Sequence[Reading], poll_us: int) -> GridRow:
    """The row of one sweep; readings come in the order of the series.

    NaN and infinity are no values: missing. So is a reading that came when its tick was long over (the
    machine stood still). A reading of a slow register is repeated between its reads, and so it may be
    older than its tick; half a period of slack is for a clock that is being corrected. What is beyond
    `VALUE_MAX` is kept as that.
    """
    first_us, end_us = tick_us - max(poll_us // 2, SLOW_PERIOD_S_MAX * US_PER_S), tick_us + poll_us
    values = np.array([np.nan if r.value is None else r.value for r in readings], dtype=np.float64)
    quality = np.array([r.quality for r in readings], dtype=np.uint8)
    none = ~np.isfinite(values) | np.array([not first_us <= r.at_us < end_us for r in readings], dtype=np.bool_)
    values[none], quality[none] = np.nan, Quality.MISSING
    return GridRow(tick_us, np.clip(values, -VALUE_MAX, VALUE_MAX), quality)


def next_tick(tick_us: UtcUs, now_us: UtcUs, poll_us: int) -> UtcUs:
    """The tick after `tick_us`: on the grid, and not in the past. A late loop skips, never crowds.

    A clock that was set back is followed at once: waiting for the old time would mean hours unread.
    """
    if now_us < tick_us - poll_us:
        return UtcUs(floor_us(now_us, poll_us) + poll_us)
    following = UtcUs(tick_us + poll_us)
    return following if now_us < following + poll_us else floor_us(now_us, poll_us)


class RecordingPeriod:
    """Sums rows up to mean, min, max, count and quality per series, one block per period.

    Where a series has good values, they alone count.
    """

    def __init__(self, series: Sequence[Series], *, period_us: int, poll_us: int) -> None:
        assert period_us % poll_us == 0
        self._series = list(series)
        self._period_us = period_us
        self._poll_us = poll_us
        self._rows: list[GridRow] = []

    def add(self, row: GridRow) -> list[ClosedPeriod]:
        """Take one row; give the periods that ended: with its last tick, or with a jump in time."""
        closed = []
        if self._rows and self._is_jump(self._rows[-1], row):
            closed.append(self._close())
        self._rows.append(row)
        if row.tick_us + self._poll_us >= self._start_us(row) + self._period_us:
            closed.append(self._close())
        return closed

    def close(self) -> list[ClosedPeriod]:
        """Give what is open, for an orderly stop."""
        return [self._close()] if self._rows else []

    def shift(self, by_us: int) -> list[ClosedPeriod]:
        """The clock was wrong so far: what is open was `by_us` later. Gives the periods that are over by that."""
        rows, self._rows = self._rows, []
        return [closed for row in rows for closed in self.add(replace(row, tick_us=UtcUs(row.tick_us + by_us)))]

    def _is_jump(self, before: GridRow, row: GridRow) -> bool:
        return row.tick_us <= before.tick_us or self._start_us(before) != self._start_us(row)

    def _start_us(self, row: GridRow) -> UtcUs:
        return floor_us(row.tick_us, self._period_us)

    def _close(self) -> ClosedPeriod:
        rows, self._rows = self._rows, []
        aggregates = _aggregate(self._series, rows, self._period_us // self._poll_us)
        block = pack_block(
            aggregates,
            start_us=self._start_us(rows[0]),
            period_us=self._period_us,
            first_us=rows[0].tick_us,
            last_us=rows[-1].tick_us,
        )
        return ClosedPeriod(block, aggregates)


def good_means(series: Sequence[Series], aggregates: Sequence[Aggregate], polls: int) -> F64:
    """The means of a period of `polls` polls to build on, in the order of `series`; NaN where there is none.

    A period is SUSPECT when values are wanting, and also when all it has are suspect. They can be told
    apart when no poll is wanting: had one value been good, those that were not would not be counted.
    """
    by_series = {
        one.series: one.mean
        for one in aggregates
        if one.mean is not None and (one.quality == Quality.GOOD or one.count < polls)
    }
    return np.array([by_series.get(one, np.nan) for one in series], dtype=np.float64)


def _aggregate(series: Sequence[Series], rows: Sequence[GridRow], polls: int) -> list[Aggregate]:
    # [series, time]: reductions run along the contiguous time axis (law 3)
    values = np.array([row.values for row in rows]).T.copy()
    quality = np.array([row.quality for row in rows]).T.copy()
    good = quality == Quality.GOOD
    # One value that is suspect must not sway those that are not; alone, it is all that is known.
    counted = np.where(good.any(axis=1, keepdims=True), good, quality != Quality.MISSING)
    counts = counted.sum(axis=1)
    sums = np.where(counted, values, 0.0).sum(axis=1)
    lows = np.where(counted, values, np.inf).min(axis=1)
    highs = np.where(counted, values, -np.inf).max(axis=1)
    # The quotient may fall a rounding beside equal values; a mean lies between its extremes.
    means = np.clip(sums / np.maximum(counts, 1), lows, highs)
    all_good = good.sum(axis=1) == polls
    return [
        Aggregate(one, mean, low, high, count, Quality.GOOD if good else Quality.SUSPECT)
        if count
        else Aggregate(one, None, None, None, 0, Quality.MISSING)
        for one, mean, low, high, count, good in zip(
            series,
            means.tolist(),
            lows.tolist(),
            highs.tolist(),
            counts.tolist(),
            all_good.tolist(),
            strict=True,
        )
    ]
