"""Stamps as people's programs write them: text to microseconds, ten million rows of it. Pure.

A recording repeats its dates and its times of day, so each of them is read once and remembered. Which
of `01/02` is the month is decided when all dates have been seen.
"""

import re
from array import array
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import DAY_US
from gateway.contract.inputs import I64, Mask

# The years that datetime and a site's clock share with comfort.
YEARS = (1970, 2100)
# Five hundred years of days: who has more of them has no dates there.
_DATES_MAX = 200_000
# Times of day with microseconds never end; what is remembered does.
_TIMES_MAX = 100_000
# Text longer than this is no stamp.
_CHARACTERS_MAX = 64
# A date, and the mark behind it.
_DATE_CHARACTERS_MAX = 11
# Numbers from here on count seconds, milliseconds or microseconds since 1970; below are dates without dashes.
_EPOCH_S_MIN, _EPOCH_MS_MIN, _EPOCH_US_MIN = 1e8, 1e11, 1e14

_DATE = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})|(\d{4})(\d{2})(\d{2})", re.ASCII)
_TIME = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?: ?([AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?:([Zz]|UTC)|([+-])(\d{2}):?(\d{2})?))?",
    re.ASCII,
)
_DIRECTIVE = re.compile("%(.)")
_NUMBER = re.compile(r"\d{9,16}(?:\.\d*)?", re.ASCII)
_US_PER_S = 1_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_NO_DATE = -1

# microseconds, and whether they are UTC
_Time = tuple[int, bool]


class WrittenDate(NamedTuple):
    """A year, and month and day; where `is_open`, perhaps day and month."""

    year: int
    one: int
    two: int
    is_open: bool = False

    def day(self) -> int:
        """Days since 1970, month first; `_NO_DATE` when there is no such day."""
        try:
            return date(self.year, self.one, self.two).toordinal() - _EPOCH_DAY
        except ValueError:
            return _NO_DATE


class Stamps(NamedTuple):
    """Microseconds of each row, of the wall clock where not `is_utc`; `[rows]`. Where not `known`, there was none."""

    us: I64
    is_utc: Mask
    known: Mask


class StampColumn:
    """Takes the cells of a column of stamps one by one, and tells them all at the end.

    `form` is "iso" for what is told apart by itself (ISO 8601, day or month first, seconds since 1970), "hour" for
    a number from 0 to 24, or a strptime form.
    """

    def __init__(self, form: str) -> None:
        self._form = form
        self._dates: dict[str, int] = {}
        self._written = [WrittenDate(1970, 1, 1)]
        self._times: dict[str, _Time | None] = {}
        self._date_of, self._us_of, self._is_utc = array("i"), array("q"), array("b")
        self._forms = _in_two(form)
        self._add: Callable[[str], tuple[int, _Time | None]] = {"iso": self._any, "hour": self._hour}.get(
            form, self._by_parts if self._forms else self._whole
        )

    def __len__(self) -> int:
        return len(self._us_of)

    def add(self, text: str) -> bool:
        """Take one cell; False when it is no stamp."""
        date_index, time = (_NO_DATE, None) if len(text) > _CHARACTERS_MAX else self._add(text)
        if time is None or date_index == _NO_DATE:
            date_index, time = _NO_DATE, (0, False)
        self._date_of.append(date_index)
        self._us_of.append(time[0])
        self._is_utc.append(time[1])
        return date_index != _NO_DATE

    def extend(self, us: I64, known: Mask, *, is_utc: bool) -> None:
        """Take many that are instants, or wall times, already."""
        self._date_of.frombytes(np.where(known, 0, _NO_DATE).astype(np.int32).tobytes())
        self._us_of.frombytes(np.where(known, us, 0).astype(np.int64).tobytes())
        self._is_utc.frombytes(np.full(len(us), is_utc, dtype=np.int8).tobytes())

    def stamps(self) -> Stamps:
        """All of them, in the order in which they came.

        Raises:
            SettingError: nothing tells whether day or month comes first.
        """
        days = np.array([*_days_of(self._written), _NO_DATE], dtype=np.int64)  # the last stands for none
        date_of = np.frombuffer(self._date_of, dtype=np.int32)
        day = days[date_of]
        us = day * DAY_US + np.frombuffer(self._us_of, dtype=np.int64)
        low, high = (DAY_US * (date(year, 1, 1).toordinal() - _EPOCH_DAY) for year in YEARS)
        known = (date_of != _NO_DATE) & (day != _NO_DATE) & (low <= us) & (us < high)
        return Stamps(np.where(known, us, 0), np.frombuffer(self._is_utc, dtype=np.int8).astype(np.bool_), known)

    def _any(self, text: str) -> tuple[int, _Time | None]:
        if _NUMBER.fullmatch(text):
            return 0, _since_1970(text)
        date_text, gap, time_text = text.partition("T" if "T" in text[:_DATE_CHARACTERS_MAX] else " ")
        return self._date(date_text), self._time(time_text.strip()) if gap else (0, False)

    def _hour(self, text: str) -> tuple[int, _Time | None]:
        hour = int(text) if text.isascii() and text.isdigit() else 25
        return 0, (hour * 3600 * _US_PER_S, False) if hour <= 24 else None

    def _by_parts(self, text: str) -> tuple[int, _Time | None]:
        date_text, _, time_text = text.partition("T" if "T" in self._form else " ")
        return self._date(date_text), self._time(time_text.strip())

    def _whole(self, text: str) -> tuple[int, _Time | None]:
        return 0, _by_strptime(text, self._form)

    def _date(self, text: str) -> int:
        """Number of a date, which is read when it comes for the first time."""
        index = self._dates.get(text)
        if index is None:
            written = _date_by_strptime(text, self._forms[0]) if self._forms else _written_date(text)
            index = _NO_DATE
            if written is not None and len(self._written) < _DATES_MAX:
                index = len(self._written)
                self._written.append(written)
            if len(self._dates) < 2 * _DATES_MAX:
                self._dates[text] = index
        return index

    def _time(self, text: str) -> _Time | None:
        if text not in self._times:
            if len(self._times) >= _TIMES_MAX:
                self._times.clear()
            self._times[text] = (
                _by_strptime(text, self._forms[1], since=datetime(1900, 1, 1)) if self._forms else _time_us(text)  # noqa: DTZ001
            )
        return self._times[text]


def _in_two(form: str) -> tuple[str, str] | None:
    """The form of the date and that of the time, where the two stand apart; they are remembered each for itself."""
    date_form, _, time_form = form.partition("T" if "T" in form else " ")
    in_date, in_time = (set(_DIRECTIVE.findall(one)) for one in (date_form, time_form))
    is_date = "d" in in_date and in_date & {"m", "b", "B"} and in_date & {"Y", "y"}
    return (date_form, time_form) if is_date and "H" in in_time and in_time <= set("HMSfz") else None


def _since_1970(text: str) -> _Time | None:
    number = float(text)
    if number < _EPOCH_S_MIN:
        return None
    scale = 1e6 if number < _EPOCH_MS_MIN else 1e3 if number < _EPOCH_US_MIN else 1.0
    return round(number * scale), True


def _time_us(text: str) -> _Time | None:
    """Time of a day, or of UTC's where an offset is given; 24:00 is the end of the day."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(one or 0) for one in match.group(1, 2, 3))
    half = (match[5] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and minute + second):
        return None
    us = ((hour * 60 + minute) * 60 + second) * _US_PER_S + int((match[4] or "0").ljust(6, "0")[:6])
    if match[7] is None:
        return us, match[6] is not None
    ahead_us = (int(match[8]) * 60 + int(match[9] or 0)) * 60 * _US_PER_S
    return us - (ahead_us if match[7] == "+" else -ahead_us), True


def _by_strptime(text: str, form: str, since: datetime = datetime(1970, 1, 1)) -> _Time | None:  # noqa: DTZ001
    """By a form somebody wrote; the end of a day may be written 24:00."""
    is_end = text.startswith("24:00")
    try:
        at = datetime.strptime(f"00:00{text[5:]}" if is_end else text, form)  # noqa: DTZ007 - wall time
    except (ValueError, OverflowError, re.error):
        return None
    ahead = at.utcoffset()
    us = (at.replace(tzinfo=None) - since) // timedelta(microseconds=1) + is_end * DAY_US
    return us - (ahead or timedelta(0)) // timedelta(microseconds=1), ahead is not None


def _date_by_strptime(text: str, form: str) -> WrittenDate | None:
    try:
        at = datetime.strptime(text, form)  # noqa: DTZ007 - a date
    except (ValueError, OverflowError, re.error):
        return None
    return WrittenDate(at.year, at.month, at.day)


def _written_date(text: str) -> WrittenDate | None:
    """The three numbers of a date as they stand there, the year first or last."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    if match[5]:
        return WrittenDate(int(match[5]), int(match[6]), int(match[7]))
    first, gap, second, third = match.group(1, 2, 3, 4)
    if len(first) == 4 and len(third) <= 2:
        return WrittenDate(int(first), int(second), int(third))
    if len(first) > 2 or len(third) not in (2, 4):
        return None
    year = int(third) + (2000 if len(third) == 2 else 0)
    if gap == ".":  # nobody who writes dots puts the month first
        return WrittenDate(year, int(second), int(first))
    return WrittenDate(year, int(first), int(second), is_open=True)


def _days_of(dates: list[WrittenDate]) -> list[int]:
    """Days since 1970 of each date; `_NO_DATE` where there is no such day.

    Raises:
        SettingError: nothing tells whether day or month comes first.
    """
    opened = [one for one in dates if one.is_open]
    readings = [[one.day() for one in opened], [WrittenDate(one.year, one.two, one.one).day() for one in opened]]
    best = readings[0]
    if readings[0] != readings[1]:
        # The right reading has no 31st month; and where all days are early ones, they follow each other.
        costs = [(days.count(_NO_DATE), _leaps(days)) for days in readings]
        if costs[0] == costs[1]:
            next_step = 'say it: time.format = "%d/%m/%Y %H:%M" or "%m/%d/%Y %H:%M"'
            found = f"{opened[0].one}/{opened[0].two}/{opened[0].year}"
            raise SettingError("time.format", found, "can be read in two ways", next_step)
        best = readings[costs.index(min(costs))]
    decided = iter(best)
    return [next(decided) if one.is_open else one.day() for one in dates]


def _leaps(days: list[int]) -> int:
    """How many dates do not come a day after the one before."""
    return sum(after - before != 1 for before, after in pairwise(days))
