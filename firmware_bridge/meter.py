"""One meter as the bridge sees it: what to read, what the replies mean, when to leave it alone. Pure.

The breaker: a meter that stayed silent for some sweeps in a row is asked only now and then, so that
it does not cost the healthy ones on its line a time-out in every sweep.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from firmware_bridge.config import MeterConfig
from firmware_bridge.errors import BadReplyError, BusError, ExceptionReplyError
from firmware_bridge.measurand import Measurand
from firmware_bridge.poll_plan import Block, plan
from firmware_bridge.profile import Profile
from firmware_bridge.reading import MeterId, MonotonicS, Quality, Reading, Series, UtcUs
from firmware_bridge.registers import BlockDecoder

# One lost reply is no news and no reason to stop asking; three sweeps in a row are.
BAD_SWEEPS_MAX = 3
# Real seconds between probes of a silent meter, doubling from the first to the last. A minute is
# soon enough for whoever plugs a meter in again, and costs the others 2 % of their time at most.
PROBE_FIRST_S = 1.0
PROBE_LAST_S = 60.0
# A breaker carries a fifth more than its rating for a while; what is beyond cannot be true.
RATED_POWER_FACTOR = 1.2

_POWER_UNITS = {"W", "var", "VA"}
_NOT_BACK = "not back by the deadline of the sweep"


class News(StrEnum):
    """What a sweep brought that somebody should hear of, once."""

    NONE = "none"
    SILENT = "silent"
    TROUBLED = "troubled"
    BACK = "back"


class MeterHealth(msgspec.Struct, frozen=True):
    """How a meter has fared since the start, for the page.

    `silent_since_us` is the tick of the first sweep of the present silence; None while it answers.
    """

    meter: MeterId
    reads_ok: int
    reads_failed: int
    silent_since_us: UtcUs | None
    last_error: str


class Meter:
    """One configured meter: told of each sweep's replies, gives that sweep's readings."""

    def __init__(self, config: MeterConfig, profile: Profile) -> None:
        self.config = config
        self.blocks = plan(profile)
        self._columns = [_Columns(config, block) for block in self.blocks]
        self.series: list[Series] = [series for columns in self._columns for series in columns.series]
        # Of the present sweep.
        self._rows: list[list[Reading] | None] = []
        self._sweep = 0
        self._has_spoken = False
        self._has_failed = False
        # Of the past.
        self._asked_in_sweep = 0
        self._silent_sweeps = 0
        self._bad_sweeps = 0
        self._silent_since_us: UtcUs | None = None
        self._probe_at_s: MonotonicS | None = None
        self._told = News.BACK  # what was last said of it: all is well
        self._reads_ok = 0
        self._reads_failed = 0
        self._last_error = ""

    @property
    def turn(self) -> tuple[int, int]:
        """Its place among the meters of a line: the silent last, else whoever waited longest first."""
        return self._silent_sweeps, self._asked_in_sweep

    def is_resting(self, now_s: MonotonicS) -> bool:
        """Whether it was silent too often and its next probe is not yet due."""
        return self._probe_at_s is not None and now_s < self._probe_at_s

    def begin_sweep(self) -> None:
        """Forget the last sweep's readings."""
        self._sweep += 1
        self._rows = [None] * len(self.blocks)
        self._has_spoken = self._has_failed = False

    def ask(self) -> None:
        """A request to it leaves now."""
        self._asked_in_sweep = self._sweep

    def take(self, place: int, words: Sequence[int], at_us: UtcUs) -> None:
        """Block number `place` came at `at_us`."""
        self._rows[place] = self._columns[place].readings(words, at_us)
        self._has_spoken = True
        self._reads_ok += 1

    def fail(self, error: BusError) -> None:
        """A request to it failed, or would have."""
        self.ask()
        self._has_failed = True
        self._reads_failed += 1
        self._last_error = str(error)
        self._has_spoken |= isinstance(error, ExceptionReplyError | BadReplyError)

    def end_sweep(self, tick_us: UtcUs, now_s: MonotonicS) -> tuple[list[Reading], News]:
        """One reading per series, and what is new. What did not come is missing at `tick_us`."""
        readings: list[Reading] = []
        for row, columns in zip(self._rows, self._columns, strict=True):
            readings += columns.missing(tick_us) if row is None else row
        if self._asked_in_sweep != self._sweep:
            return readings, News.NONE  # resting, or the deadline came before its turn
        if None in self._rows and not self._has_failed:
            self._reads_failed += 1
            self._last_error = _NOT_BACK
        if self._has_spoken:
            self._silent_sweeps, self._silent_since_us, self._probe_at_s = 0, None, None
        else:
            self._note_silence(tick_us, now_s)
        return readings, self._news(is_complete=None not in self._rows)

    def health(self) -> MeterHealth:
        """How it has fared."""
        return MeterHealth(
            MeterId(self.config.name), self._reads_ok, self._reads_failed, self._silent_since_us, self._last_error
        )

    def _note_silence(self, tick_us: UtcUs, now_s: MonotonicS) -> None:
        if self._silent_since_us is None:
            self._silent_since_us = tick_us
        self._silent_sweeps += 1
        doublings = self._silent_sweeps - BAD_SWEEPS_MAX
        if doublings >= 0:
            # 2 ** 10 s is beyond the last pause, and no overflow after a year of silence.
            pause_s = min(PROBE_LAST_S, PROBE_FIRST_S * 2.0 ** min(doublings, 10))
            self._probe_at_s = MonotonicS(now_s + pause_s)

    def _news(self, *, is_complete: bool) -> News:
        self._bad_sweeps = 0 if is_complete else self._bad_sweeps + 1
        news = News.NONE
        if is_complete and self._told is not News.BACK:
            news = News.BACK
        elif self._silent_sweeps >= BAD_SWEEPS_MAX and self._told is not News.SILENT:
            news = News.SILENT
        elif self._bad_sweeps >= BAD_SWEEPS_MAX and self._told is News.BACK:
            news = News.TROUBLED
        if news is not News.NONE:
            self._told = news
        return news


class _Columns:
    """The series of one block: decodes its words and judges each value."""

    def __init__(self, config: MeterConfig, block: Block) -> None:
        self._meter = MeterId(config.name)
        self._decode = BlockDecoder(block.registers, block.address, block.count).decode
        self._bounds = [
            (register.measurand, *_plausible(register.measurand, config.rated_power_w))
            for register in block.registers
        ]
        self.series = [Series(self._meter, register.measurand) for register in block.registers]

    def readings(self, words: Sequence[int], at_us: UtcUs) -> list[Reading]:
        """In the order of the registers; an implausible value is kept, and suspect."""
        readings = []
        for (measurand, low, high), value in zip(self._bounds, self._decode(words), strict=True):
            if value is None:
                quality = Quality.MISSING
            elif low <= value <= high:
                quality = Quality.GOOD
            else:
                quality = Quality.SUSPECT
            readings.append(Reading(self._meter, measurand, at_us, value, quality))
        return readings

    def missing(self, at_us: UtcUs) -> list[Reading]:
        """When nothing came."""
        return [Reading(self._meter, bounds[0], at_us, None, Quality.MISSING) for bounds in self._bounds]


def _plausible(measurand: Measurand, rated_power_w: float) -> tuple[float, float]:
    facts = measurand.facts
    if facts.unit not in _POWER_UNITS:
        return facts.plausible_low, facts.plausible_high
    most = rated_power_w * RATED_POWER_FACTOR
    return max(facts.plausible_low, -most), min(facts.plausible_high, most)
