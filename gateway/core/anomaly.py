"""What is wrong with a meter, by plain rules on its own values. Pure.

Each rule looks at the rows as they come and gives an onset once; it stays quiet until the trouble
has gone and come again. Rules: *silent* (a meter that does not answer), *range* (a value this
site cannot show), *stuck* (all of a live meter's values frozen), *sign* (a producer that consumes),
*spike* (an excursion of a few polls), *residual* (consumption outside the forecast's band for half
an hour).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from firmware_bridge.config import MeterConfig
from firmware_bridge.measurand import Measurand
from firmware_bridge.quality import plausible_bounds
from firmware_bridge.reading import US_PER_S, Quality, Series, UtcUs
from gateway.contract.records import AnomalyKind, AnomalyRecord, restamp
from gateway.core.grid import GridRow
from gateway.core.site import SiteState

# A lost reply or two are a wire's daily life, and so is a minute of a restarting meter.
SILENT_POLLS = 3
SILENT_US = 60 * US_PER_S
# A live meter shows noise in voltage at every poll: ten equal polls over five minutes are no chance.
STUCK_POLLS = 10
STUCK_US = 5 * 60 * US_PER_S
# Meters resolve a few watts around zero; below this a wrong sign means nothing.
SIGN_W_MIN = 50.0
SIGN_POLLS = 5
# A spike leaves the median of its neighbourhood by this share of the main breaker's rating, and by
# this many times their usual spread, and is back within a few polls: longer is a load.
SPIKE_RATED_FRACTION = 0.5
SPIKE_SPREADS = 10.0
SPIKE_POLLS_MAX = 3
NEIGHBOURHOOD_POLLS = 15
# An event without an end of its own is shown this long after it was last seen.
SHOWN_US = 3600 * US_PER_S
_NEVER = UtcUs(0)


@dataclass(slots=True)
class _Streak:
    """For how many polls, and since when, something has gone on."""

    polls: int = 0
    since_us: UtcUs = _NEVER

    def note(self, at_us: UtcUs, *, holds: bool) -> bool:
        """Take one poll; whether it goes on."""
        if not holds:
            self.polls = 0
        elif self.polls == 0:
            self.polls, self.since_us = 1, at_us
        else:
            self.polls += 1
        return holds


@dataclass(slots=True)
class _MeterState:
    """What the rules remember of one meter."""

    meter: MeterConfig
    columns: slice
    power: int | None
    voltage: list[int]
    silent: _Streak = field(default_factory=_Streak)
    frozen: _Streak = field(default_factory=_Streak)
    wrong_sign: _Streak = field(default_factory=_Streak)
    neighbourhood: deque[float] = field(default_factory=lambda: deque(maxlen=NEIGHBOURHOOD_POLLS))
    excursion: list[tuple[UtcUs, float]] = field(default_factory=list)

    def shift(self, by_us: int) -> None:
        for streak in (self.silent, self.frozen, self.wrong_sign):
            streak.since_us = UtcUs(streak.since_us + by_us)
        self.excursion = [(UtcUs(at_us + by_us), power_w) for at_us, power_w in self.excursion]


class AnomalyRules:
    """All rules over all meters; `look` takes each row once, in order."""

    def __init__(self, series: Sequence[Series], meters: Sequence[MeterConfig]) -> None:
        self._series = list(series)
        self._meters = [_meter_state(meter, self._series) for meter in meters]
        self._previous: GridRow | None = None
        self._active: dict[tuple[AnomalyKind, str], AnomalyRecord] = {}
        self._seen_us: dict[tuple[AnomalyKind, str], UtcUs] = {}

    @property
    def active(self) -> list[AnomalyRecord]:
        """What is wrong at present, oldest first."""
        return sorted(self._active.values(), key=lambda record: record.since_us)

    def look(self, row: GridRow, site: SiteState) -> list[AnomalyRecord]:
        """The onsets this row brings."""
        onsets: list[AnomalyRecord] = []
        for state in self._meters:
            onsets += self._latch(
                [
                    *self._silent(state, row),
                    *self._range(state, row),
                    *self._stuck(state, row, site),
                    *self._sign(state, row),
                ]
            )
            onsets += self._spike(state, row, site)
        self._previous = row
        self._forget(row.tick_us)
        return onsets

    def shift(self, by_us: int) -> None:
        """The clock was set: by what it shows now, all that the rules remember was `by_us` later."""
        for state in self._meters:
            state.shift(by_us)
        self._active = {key: restamp(one, by_us) for key, one in self._active.items()}
        self._seen_us = {key: UtcUs(seen_us + by_us) for key, seen_us in self._seen_us.items()}

    def _silent(self, state: _MeterState, row: GridRow) -> list[AnomalyRecord]:
        silent, name = state.silent, state.meter.name
        is_silent = bool((row.quality[state.columns] == Quality.MISSING).all())
        if not silent.note(row.tick_us, holds=is_silent):
            self._clear("silent", name)
            return []
        if silent.polls < SILENT_POLLS or row.tick_us - silent.since_us < SILENT_US:
            return []
        return [
            AnomalyRecord(
                at_us=row.tick_us,
                kind="silent",
                series=name,
                since_us=silent.since_us,
                observed=None,
                expected_low=None,
                expected_high=None,
                sentence=f"The meter {name} does not answer: check its supply, its line and its unit id.",
            )
        ]

    def _range(self, state: _MeterState, row: GridRow) -> list[AnomalyRecord]:
        suspect = row.quality[state.columns] == Quality.SUSPECT
        found = []
        for column in np.flatnonzero(suspect).tolist():
            series = self._series[state.columns.start + column]
            facts, value = series.measurand.facts, float(row.values[state.columns][column])
            low, high = plausible_bounds(series.measurand, state.meter.rated_power_w)
            if low <= value <= high:
                continue  # a step or a counter that the next read may confirm
            found.append(
                AnomalyRecord(
                    at_us=row.tick_us,
                    kind="range",
                    series=str(series),
                    since_us=row.tick_us,
                    observed=value,
                    expected_low=low,
                    expected_high=high,
                    sentence=f"{series} shows {value:.6g} {facts.unit}, which cannot be true: "
                    "check its wiring, scale and profile.",
                )
            )
        return found

    def _stuck(self, state: _MeterState, row: GridRow, site: SiteState) -> list[AnomalyRecord]:
        frozen = state.frozen
        if not frozen.note(row.tick_us, holds=self._is_frozen(state, row, site)):
            self._clear("stuck", state.meter.name)
            return []
        if frozen.polls < STUCK_POLLS or row.tick_us - frozen.since_us < STUCK_US:
            return []
        return [
            AnomalyRecord(
                at_us=row.tick_us,
                kind="stuck",
                series=state.meter.name,
                since_us=frozen.since_us,
                observed=None if state.power is None else float(row.values[state.power]),
                expected_low=None,
                expected_high=None,
                sentence=f"All values of {state.meter.name} are frozen: restart the meter or check its gateway.",
            )
        ]

    def _is_frozen(self, state: _MeterState, row: GridRow, site: SiteState) -> bool:
        if self._previous is None or not site.grid_is_up or not state.voltage:
            return False
        now, before = row.values[state.columns], self._previous.values[state.columns]
        # A phase that is not connected is missing for good; a silent meter has no voltage at all.
        has_voltage = np.fmax.reduce(row.values[state.voltage]) > 0
        return bool(has_voltage) and np.array_equal(now, before, equal_nan=True)

    def _sign(self, state: _MeterState, row: GridRow) -> list[AnomalyRecord]:
        if state.power is None or state.meter.role not in ("solar", "load"):
            return []
        power_w = float(row.values[state.power])
        wrong_w = power_w if state.meter.role == "solar" else -power_w
        wrong_sign, series = state.wrong_sign, str(self._series[state.power])
        is_wrong = wrong_w > max(SIGN_W_MIN, state.meter.rated_power_w * 0.01)
        if not wrong_sign.note(row.tick_us, holds=is_wrong):
            self._clear("sign", series)
            return []
        if wrong_sign.polls < SIGN_POLLS:
            return []
        does = "consumes" if state.meter.role == "solar" else "produces"
        return [
            AnomalyRecord(
                at_us=row.tick_us,
                kind="sign",
                series=series,
                since_us=wrong_sign.since_us,
                observed=power_w,
                expected_low=None if state.meter.role == "solar" else 0.0,
                expected_high=0.0 if state.meter.role == "solar" else None,
                sentence=f"The {state.meter.role} meter {state.meter.name} {does}: turn its current transformer.",
            )
        ]

    def _spike(self, state: _MeterState, row: GridRow, site: SiteState) -> list[AnomalyRecord]:
        if state.power is None or np.isnan(power_w := float(row.values[state.power])):
            return []
        if not site.grid_is_up:
            state.excursion.clear()  # what stands still in an outage is not the usual
            return []
        nearby = state.neighbourhood
        if len(nearby) < NEIGHBOURHOOD_POLLS:
            nearby.append(power_w)
            return []
        median = _median(nearby)
        limit_w = state.meter.rated_power_w * SPIKE_RATED_FRACTION
        if abs(power_w - median) > limit_w:  # rarely: the spread is worth its price only here
            limit_w = max(limit_w, SPIKE_SPREADS * _median(abs(one - median) for one in nearby))
        if abs(power_w - median) > limit_w:
            if len(state.excursion) <= SPIKE_POLLS_MAX:
                state.excursion.append((row.tick_us, power_w))
            else:
                nearby.append(power_w)  # it stays: a load, soon the usual
            return []
        excursion, state.excursion = state.excursion, []
        nearby.append(power_w)
        if not 0 < len(excursion) <= SPIKE_POLLS_MAX:
            return []
        since_us, peak_w = max(excursion, key=lambda one: abs(one[1] - median))
        series = str(self._series[state.power])
        record = AnomalyRecord(
            at_us=row.tick_us,
            kind="spike",
            series=series,
            since_us=since_us,
            observed=peak_w,
            expected_low=median - limit_w,
            expected_high=median + limit_w,
            sentence=f"{series} jumped to {peak_w:.0f} W from about {median:.0f} W and back: "
            "check terminals and shielding of the line.",
        )
        return self._latch([record])

    def latch_residual(self, record: AnomalyRecord | None) -> list[AnomalyRecord]:
        """Take the verdict of the residual rule, which looks at steps and not at rows."""
        if record is None:
            self._clear("residual", "consumption_w")
            return []
        return self._latch([record])

    def _latch(self, found: list[AnomalyRecord]) -> list[AnomalyRecord]:
        onsets = [record for record in found if (record.kind, record.series) not in self._active]
        for record in onsets:
            self._active[record.kind, record.series] = record
        for record in found:
            self._seen_us[record.kind, record.series] = record.at_us
        return onsets

    def _clear(self, kind: AnomalyKind, series: str) -> None:
        self._active.pop((kind, series), None)

    def _forget(self, now_us: UtcUs) -> None:
        for key in list(self._active):
            if key[0] in ("range", "spike") and now_us - self._seen_us[key] > SHOWN_US:
                del self._active[key]


def _median(values: Iterable[float]) -> float:
    """The middle of an odd number of values; numpy takes ten times as long for so few."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _meter_state(meter: MeterConfig, series: Sequence[Series]) -> _MeterState:
    columns = [column for column, one in enumerate(series) if one.meter == meter.name]
    assert columns, "every configured meter has series"
    by_measurand = {series[column].measurand: column for column in columns}
    return _MeterState(
        meter=meter,
        columns=slice(columns[0], columns[-1] + 1),
        power=by_measurand.get(Measurand.ACTIVE_POWER_W),
        voltage=[column for measurand, column in by_measurand.items() if measurand.facts.unit == "V"],
    )
