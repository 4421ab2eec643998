"""One configured meter as the bridge sees it: what it said in a sweep, how it has fared, what is news. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from firmware_bridge.config import MeterConfig
from firmware_bridge.counter import CounterState
from firmware_bridge.counter_event import CounterEvent
from firmware_bridge.errors import BadReplyError, BusError, ExceptionReplyError
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Profile
from firmware_bridge.quality import Reason
from firmware_bridge.reading import MeterId, Reading, Series, UtcUs
from firmware_bridge.sheet import Sheet

# One lost reply is no news; three sweeps in a row are.
BAD_SWEEPS_MAX = 3
# Events of one sweep that nobody took: a counter has one a day at most.
EVENTS_MAX = 32
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
    """One configured meter, or device that sends by itself: told what came, gives each sweep's readings."""

    def __init__(
        self, config: MeterConfig, profile: Profile, counters: Mapping[Measurand, CounterState] | None = None
    ) -> None:
        """`counters` is what `counters` of an earlier run gave."""
        self.config, self.profile = config, profile
        # as the device tells it; None before it did
        self.serial_number: str | None = None
        self._sheet = Sheet(config, profile, counters)
        self._events: deque[CounterEvent] = deque(maxlen=EVENTS_MAX)
        # Of the present sweep.
        self._was_asked = self._has_spoken = self._has_failed = False
        self._missed = 0
        # Of the past.
        self._silent_sweeps = 0
        self._bad_sweeps = 0
        self._silent_since_us: UtcUs | None = None
        self._told = News.BACK  # what was last said of it: all is well
        self._reads_ok = 0
        self._reads_failed = 0
        self._last_error = ""

    @property
    def series(self) -> list[Series]:
        """Its columns; each sweep gives one reading of each, in this order."""
        return self._sheet.series

    @property
    def has_spoken(self) -> bool:
        """Whether it gave a sign of life in this sweep."""
        return self._has_spoken

    @property
    def is_silent(self) -> bool:
        """Whether it gave none in the last sweep in which it was asked."""
        return self._silent_since_us is not None

    def begin_sweep(self, awaited: Iterable[Measurand]) -> None:
        """A sweep begins; what is `awaited` in each sweep is missing until it comes."""
        self._sheet.expect(awaited)
        self._was_asked = self._has_spoken = self._has_failed = False
        self._missed = 0

    def ask(self, measurands: Iterable[Measurand]) -> None:
        """A request for these leaves now, or they came by themselves: what does not come is missing."""
        self._sheet.expect(measurands)
        self._was_asked = True
        self._missed += 1

    def take(self, measurands: Iterable[Measurand], values: Iterable[float | None], at_us: UtcUs) -> None:
        """A request was answered: these values came at `at_us`."""
        self._sheet.put(measurands, values, at_us)
        self._has_spoken = True
        self._missed -= 1
        self._reads_ok += 1

    def stumble(self, error: BusError) -> None:
        """A request to it failed, but it gets a second chance in this sweep."""
        self._missed -= 1
        self._reads_failed += 1
        self._last_error = str(error)

    def fail(self, error: BusError) -> None:
        """A request to it failed, or would have."""
        self._was_asked = self._has_failed = True
        self._reads_failed += 1
        self._last_error = str(error)
        self._has_spoken |= isinstance(error, ExceptionReplyError | BadReplyError)

    def end_sweep(self, tick_us: UtcUs) -> tuple[list[Reading], News]:
        """One reading per series, and what is new. What did not come is missing at `tick_us`."""
        if self._was_asked and self._missed and not self._has_failed:
            self._has_failed = True
            self._reads_failed += 1
            self._last_error = _NOT_BACK
        if self._was_asked and not self._has_spoken:
            self._silent_sweeps += 1
            self._silent_since_us = tick_us if self._silent_since_us is None else self._silent_since_us
        elif self._has_spoken:
            self._silent_sweeps, self._silent_since_us = 0, None
        if self._silent_since_us is not None:
            self._sheet.forget()
        readings, events = self._sheet.end(tick_us, self.serial_number)
        self._events += events
        return readings, self._news() if self._was_asked else News.NONE

    @property
    def counters(self) -> dict[Measurand, CounterState]:
        """What its counters remember, to be kept over a restart."""
        return self._sheet.counters

    @property
    def suspected(self) -> dict[Reason, int]:
        """How many of its values were marked suspect so far, and why."""
        return self._sheet.suspected

    def take_events(self) -> list[CounterEvent]:
        """What its counters had to explain since the last call."""
        events = list(self._events)
        self._events.clear()
        return events

    def health(self) -> MeterHealth:
        """How it has fared."""
        return MeterHealth(
            MeterId(self.config.name), self._reads_ok, self._reads_failed, self._silent_since_us, self._last_error
        )

    def _news(self) -> News:
        self._bad_sweeps = self._bad_sweeps + 1 if self._has_failed else 0
        news = News.NONE
        if not self._has_failed and self._told is not News.BACK:
            news = News.BACK
        elif self._silent_sweeps >= BAD_SWEEPS_MAX and self._told is not News.SILENT:
            news = News.SILENT
        elif self._bad_sweeps >= BAD_SWEEPS_MAX and self._told is News.BACK:
            news = News.TROUBLED
        if news is not News.NONE:
            self._told = news
        return news
