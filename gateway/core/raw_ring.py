"""The last minutes of rows in memory, and which of them are kept as they are. Pure.

`record.raw` says which: none, those around anomalies, or all. Whatever it says, somebody may ask for some.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

import numpy as np

from firmware_bridge.reading import US_PER_S, Series, UtcUs, floor_us
from gateway.contract.raw import RAW_VALUES_MAX, Why, pack_raw
from gateway.contract.records import AnomalyRecord, RawBlock
from gateway.core.grid import GridRow

Keep = Literal["none", "anomalies", "all"]

# What is in memory: a quarter of an hour at 1 Hz, which for 200 series takes 2 MB (9 bytes a value and 300 a row).
ROWS_MAX = 900
# 9 MB, whatever the site: 2,000 series reach back seven minutes.
VALUES_MAX = 900_000
# What is kept around an anomaly.
BEFORE_US = AFTER_US = 60 * US_PER_S
# The slowest rule that looks at rows tells after five minutes what began before them.
TOLD_LATE_US_MAX = 300 * US_PER_S
# A contact that flutters is an anomaly every minute; six windows an hour show how it does, and spare the card.
ANOMALIES_PER_HOUR_MAX = 6
_HOUR_US = 3600 * US_PER_S
# Nobody has looked at that many by hand.
WINDOWS_MAX = 16


@dataclass(frozen=True, slots=True)
class _Window:
    """What is to be kept: ticks in `[from_us, to_us)`."""

    from_us: UtcUs
    to_us: UtcUs
    why: Why

    def meets(self, other: "_Window") -> bool:
        return self.why == other.why and self.from_us <= other.to_us and other.from_us <= self.to_us


class RawRing:
    """Takes each row once; gives the blocks whose windows are over, no row in two of them."""

    def __init__(self, series: Sequence[Series], *, keep: Keep, poll_us: int, period_us: int) -> None:
        self._series, self._keep, self._poll_us, self._period_us = list(series), keep, poll_us, period_us
        self.rows_max = max(1, min(ROWS_MAX, VALUES_MAX // len(series)))
        self._block_rows = max(1, min(self.rows_max, RAW_VALUES_MAX // len(series)))
        self._rows: deque[GridRow] = deque(maxlen=self.rows_max)
        self._kept: set[UtcUs] = set()
        self._windows: list[_Window] = []
        self._onsets_us: deque[UtcUs] = deque(maxlen=ANOMALIES_PER_HOUR_MAX)

    def request(self, from_us: UtcUs, to_us: UtcUs) -> bool:
        """Keep what is still in memory of `[from_us, to_us)`, and what comes of it; False when too many wait."""
        return self._want(_Window(from_us, to_us, "request"))

    def add(self, row: GridRow, onsets: Iterable[AnomalyRecord]) -> list[RawBlock]:
        """Take one row and the anomalies that it brought."""
        # A clock that was set back: ticks rise within a block.
        blocks = self.flush() if self._rows and row.tick_us <= self._rows[-1].tick_us else []
        if len(self._rows) == self.rows_max:
            self._kept.discard(self._rows[0].tick_us)
        self._rows.append(row)
        if self._keep == "all":
            start_us = floor_us(row.tick_us, self._period_us)
            self._want(_Window(start_us, UtcUs(start_us + self._period_us), "setting"))
        elif self._keep == "anomalies":
            for onset in onsets:
                self._want_around(onset)
        return blocks + self._close(UtcUs(row.tick_us + self._poll_us))

    def flush(self) -> list[RawBlock]:
        """What the open windows have so far, and an empty memory: for a stop, or a clock that was set back."""
        blocks = [block for window in self._windows for block in self._pack(window)]
        self._rows.clear()
        self._kept.clear()
        self._windows.clear()
        return blocks

    def shift(self, by_us: int) -> None:
        """The clock was wrong so far: what is in memory and what is wanted of it was `by_us` later."""
        for at, row in enumerate(self._rows):
            self._rows[at] = replace(row, tick_us=UtcUs(row.tick_us + by_us))
        self._kept = {UtcUs(tick_us + by_us) for tick_us in self._kept}
        self._windows = [
            _Window(UtcUs(one.from_us + by_us), UtcUs(one.to_us + by_us), one.why) for one in self._windows
        ]
        self._onsets_us = deque((UtcUs(at_us + by_us) for at_us in self._onsets_us), maxlen=ANOMALIES_PER_HOUR_MAX)

    def _want_around(self, onset: AnomalyRecord) -> None:
        recent = self._onsets_us
        if len(recent) == recent.maxlen and onset.at_us - recent[0] < _HOUR_US:
            return
        since_us = max(onset.since_us, onset.at_us - TOLD_LATE_US_MAX)
        if self._want(_Window(UtcUs(since_us - BEFORE_US), UtcUs(onset.at_us + AFTER_US), "anomaly")):
            recent.append(onset.at_us)

    def _want(self, window: _Window) -> bool:
        """Windows that meet become one."""
        met = [one for one in self._windows if one.meets(window)]
        others = [one for one in self._windows if one not in met]
        if len(others) >= WINDOWS_MAX:
            return False
        met.append(window)
        whole = _Window(min(one.from_us for one in met), max(one.to_us for one in met), window.why)
        self._windows = [*others, whole]
        return True

    def _close(self, now_us: UtcUs) -> list[RawBlock]:
        """Blocks of the windows that are over, and of those that fill one: memory forgets what they begin with."""
        blocks: list[RawBlock] = []
        for window in list(self._windows):
            is_over = window.to_us <= now_us
            if is_over or len(self._rows_of(window)) >= self._block_rows:
                blocks += self._pack(window)
            if is_over:
                self._windows.remove(window)
        return blocks

    def _pack(self, window: _Window) -> list[RawBlock]:
        rows = self._rows_of(window)
        if not rows:
            return []
        ticks = [row.tick_us for row in rows]
        self._kept.update(ticks)
        # [series, time]: along the contiguous time axis
        values = np.array([row.values for row in rows]).T.copy()
        quality = np.array([row.quality for row in rows]).T.copy()
        return pack_raw(ticks, self._series, values, quality, window.why)

    def _rows_of(self, window: _Window) -> list[GridRow]:
        """Those in memory that no block has yet, oldest first."""
        since = takewhile(lambda row: row.tick_us >= window.from_us, reversed(self._rows))
        wanted = [row for row in since if row.tick_us < window.to_us and row.tick_us not in self._kept]
        return wanted[::-1]
