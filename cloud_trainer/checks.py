"""Named checks of what was measured: data that would make a bad model never makes one. Pure.

How something was read (stamps, hours that are there twice) is told by the source that read it, with
the same kind of `Finding`; `cloud_trainer.selection` puts both together.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from cloud_trainer.finding import Check, Finding, Severity
from cloud_trainer.gaps import LONG_US, runs
from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import DAY_US
from gateway.contract.inputs import F64, I64, RECENT_VALID_MIN, SCALE_W_MIN, Mask
from gateway.contract.manifest import ForecastTarget

# Four weeks: each weekday four times. The first of our predecessors asked for half a year.
MINIMUM_DAYS, SEED_MINIMUM_DAYS = 28, 180
# A day counts when at least half of it was measured.
_DAY_KNOWN_MIN = 0.5
# Below this share of known steps somebody should look; with fewer full days than half of what is asked
# for, there is next to nothing that a forecast could be issued from.
_KNOWN_WARNED, _FULL_DAYS_SHARE_MIN = 0.95, 0.5
# What may be below 0 is what an inaccurate meter shows, one step in a hundred; a site with more feeds in,
# and when it does most of its time, a meter or its sign is turned round.
_FEED_IN_WARNED, _FEED_IN_MAX = 0.01, 0.3
# Smaller than this part of what is usual, a negative power is noise around 0.
_NOISE_SHARE = 0.01
# The largest of our customers take a tenth of it.
POWER_W_MAX = 100e6
# A breaker lets a fifth more through for longer than a step.
_OVERLOAD_MAX = 1.2
# How much a day may differ from another one that it is said to be like, in decades.
_LEVEL_DECADES, _SPREAD_DECADES = 0.2, 0.4
# Each of so many with each of so many is a moment's work.
_COMPARED_DAYS_MAX = 1_000
# A site that rests on Sundays falls as deep each week; a wrong unit came once, and was perhaps put right.
_JUMP_STRETCHES_MAX = 3
# Part of a day in another unit stands out from what is usual by this.
_SPIKE_RATIO = 100.0
# Longer than a night without a change, a meter repeats itself.
_STUCK_US = DAY_US
_STUCK_SHARE_MAX = 0.5
# How far a clock may be ahead.
_AHEAD_US_MAX = DAY_US


class Limits(NamedTuple):
    """What is asked of a site."""

    now_us: int
    minimum_days: int = MINIMUM_DAYS
    # what its main breaker lets through, when somebody said so
    rated_power_w: float | None = None


class _Power(NamedTuple):
    """One power of a site under examination; there is at least one known step."""

    series: SiteSeries
    target: ForecastTarget
    power_w: F64
    known: Mask
    usual_w: float  # what it seldom exceeds, without a sign

    def error(self, check: Check, found: str, next_step: str) -> Finding:
        return Finding(check, "error", found, next_step, self.target)

    def warning(self, check: Check, found: str, next_step: str) -> Finding:
        return Finding(check, "warning", found, next_step, self.target)

    def day(self, step: int) -> str:
        """The site's own date of a step."""
        at_s = (self.series.start_us + step * self.series.step_us) // 1_000_000
        return f"{datetime.fromtimestamp(at_s, UTC).astimezone(self.series.zone):%d %b %Y}"


def check_series(series: SiteSeries, limits: Limits) -> list[Finding]:
    """What is to be known of the series, target by target."""
    return [finding for target in series.targets for finding in _check_target(series, target, limits)]


def _check_target(series: SiteSeries, target: ForecastTarget, limits: Limits) -> Iterator[Finding]:
    power_w, known = series.power_w(target), series.known(target)
    values = power_w[known]
    if not values.size:
        yield Finding("no_values", "error", "nothing was measured", "look at the meter, or name its column", target)
        return
    power = _Power(series, target, power_w, known, float(np.quantile(np.abs(values), 0.95)))
    if values.min() == values.max():
        found = f"each of its {values.size} values is {values[0]:g} W"
        yield power.error("constant", found, "look at the meter: it shows one value for ever")
        return
    yield from _check_days(power, limits.minimum_days)
    yield from _check_sign(power)
    yield from _check_unit(power, limits.rated_power_w)
    yield from _check_spikes(power)
    yield from _check_days_of_another_unit(power)
    yield from _check_stuck(power)
    ahead_us = series.start_us + int(np.flatnonzero(known)[-1]) * series.step_us - limits.now_us
    if ahead_us > _AHEAD_US_MAX:
        found = f"its last value is {ahead_us / DAY_US:.0f} days ahead of now"
        yield power.error("future", found, "correct the stamps, or the clock that wrote them")


def _check_days(power: _Power, minimum_days: int) -> Iterator[Finding]:
    """Whether there is enough of it."""
    _, day = np.unique(power.series.local_day(), return_inverse=True)
    known_steps = np.bincount(day, weights=power.known)
    share = known_steps * power.series.step_us / DAY_US
    days, full_days = int((share >= _DAY_KNOWN_MIN).sum()), int((share >= RECENT_VALID_MIN).sum())
    if days < minimum_days:
        next_step = f"wait until it has {minimum_days}; the organisation's or the global model serves it meanwhile"
        yield power.error("too_short", f"{days} days were measured, {minimum_days} are asked for", next_step)
        return
    inside = power.known[np.argmax(power.known) : len(power.known) - np.argmax(power.known[::-1])]
    known = inside.mean()
    longest_us = int(runs(~inside).steps.max(initial=0)) * power.series.step_us
    found = f"{known:.1%} of its steps are known, {full_days} days are nearly whole, and the longest gap lasts "
    found += f"{longest_us / DAY_US:.1f} days" if longest_us >= DAY_US else f"{longest_us / 3.6e9:.1f} h"
    if full_days < minimum_days * _FULL_DAYS_SHARE_MIN:
        yield power.error("gaps", found, "look at the meter and its line, or at the cadence")
    elif known < _KNOWN_WARNED or longest_us > LONG_US:
        yield power.warning("gaps", found, "windows with too many gaps are left out")


def _check_sign(power: _Power) -> Iterator[Finding]:
    """Whether what should be positive is."""
    values = power.power_w[power.known]
    is_clear = np.abs(values) > _NOISE_SHARE * power.usual_w
    share = float((values[is_clear] < 0).sum() / max(is_clear.sum(), 1))
    found = f"{share:.0%} of its values are below 0"
    if share > _FEED_IN_MAX:
        yield power.error("negative", found, "turn the sign or the current transformer, or name the solar meter")
    elif share > _FEED_IN_WARNED:
        yield power.warning("negative", found, "name the solar meter if the site has one")


def _check_unit(power: _Power, rated_power_w: float | None) -> Iterator[Finding]:
    """Whether all of it can be watts."""
    most_w = float(np.abs(power.power_w[power.known]).max())
    rated_w = POWER_W_MAX if rated_power_w is None else min(rated_power_w * _OVERLOAD_MAX, POWER_W_MAX)
    if most_w > rated_w:
        yield power.error("unit", f"it shows {most_w:,.0f} W, above {rated_w:,.0f} W", "correct the unit")
    elif most_w < SCALE_W_MIN:
        found = f"it never shows more than {most_w:.3g} W, which is a site that stands still"
        yield power.error("unit", found, "name the unit of the column")


def _check_spikes(power: _Power) -> Iterator[Finding]:
    """Whether a part of a day is in another unit: far beyond what is usual, and rarely."""
    is_beyond = np.isfinite(power.power_w) & (np.abs(np.nan_to_num(power.power_w)) > _SPIKE_RATIO * power.usual_w)
    steps = np.flatnonzero(is_beyond)
    if not steps.size or power.usual_w == 0:
        return
    begins = steps[np.concatenate([[True], np.diff(steps) * power.series.step_us > LONG_US])]
    if len(begins) <= _JUMP_STRETCHES_MAX:
        most = float(np.abs(power.power_w[steps]).max()) / power.usual_w
        found = f"on {power.day(int(steps[0]))} {len(steps)} steps are up to {most:,.0f} times what is usual"
        yield power.error("unit_jump", found, "correct them, or leave their cells empty")


def _check_days_of_another_unit(power: _Power) -> Iterator[Finding]:
    """Whether days fall into two kinds that differ by a thousand, in level and in spread."""
    local_day = power.series.local_day()
    days, mean_w, spread_w = _daily(np.abs(power.power_w), power.known, local_day, power.series.step_us)
    if len(days) < 2:
        return
    order = np.argsort(mean_w)
    split = int(np.argmax(np.diff(np.log10(mean_w[order])))) + 1
    low, high = order[:split], order[split:]
    is_high = len(high) <= len(low)
    odd, others = (high, low) if is_high else (low, high)
    # At its edges a stretch ends in mid-day.
    if _same_but_for_a_thousand(mean_w, spread_w, odd, others) < 0.5:
        return
    if power.target == "production_w" and not is_high:
        return  # snow lay on the panels
    is_odd = np.zeros(len(days), dtype=np.bool_)
    is_odd[odd] = True
    if len(runs(is_odd).first) <= _JUMP_STRETCHES_MAX:
        first = power.day(int(np.flatnonzero(local_day == days[is_odd][0])[0]))
        found = f"on {len(odd)} days from {first} on it shows about 1,000 times {'more' if is_high else 'less'}"
        yield power.error("unit_jump", f"{found} than on the others", "bring all of it to one unit, or cut it there")


def _same_but_for_a_thousand(mean_w: F64, spread_w: F64, odd: I64, others: I64) -> float:
    """Which share of the odd days is like some other day but for the unit."""
    odd, others = (days[:: -(-len(days) // _COMPARED_DAYS_MAX)] for days in (odd, others))
    level, spread = (np.abs(np.log10(one[odd, np.newaxis] / one[others])) for one in (mean_w, spread_w))
    is_like = (np.abs(level - 3) <= _LEVEL_DECADES) & (np.abs(spread - 3) <= _SPREAD_DECADES)
    return float(is_like.any(axis=-1).mean())


def _daily(size_w: F64, known: Mask, local_day: I64, step_us: int) -> tuple[I64, F64, F64]:
    """Mean and spread of each day that was measured, and on which something flowed and changed; `[days]`."""
    days, day = np.unique(local_day, return_inverse=True)
    known_w = np.where(known, size_w, 0.0)
    count = np.maximum(np.bincount(day, weights=known), 1)
    mean_w = np.bincount(day, weights=known_w) / count
    variance = np.bincount(day, weights=np.where(known, (known_w - mean_w[day]) ** 2, 0.0)) / count
    usable = (count * step_us >= RECENT_VALID_MIN * DAY_US) & (mean_w > 0) & (variance > 0)
    return days[usable], mean_w[usable], np.sqrt(variance[usable])


def _check_stuck(power: _Power) -> Iterator[Finding]:
    """Whether the meter repeated itself. At 0 nothing flows, which panels do all night."""
    repeats = power.power_w[1:] == power.power_w[:-1]
    if power.target == "production_w":
        repeats &= power.power_w[1:] != 0
    same = runs(repeats)
    is_long = (same.steps + 1) * power.series.step_us >= _STUCK_US
    if not is_long.any():
        return
    first, steps = same.first[is_long], same.steps[is_long] + 1
    share = float(steps.sum() / power.known.sum())
    severity: Severity = "error" if share > _STUCK_SHARE_MAX else "warning"
    longest = int(np.argmax(steps))
    found = f"from {power.day(int(first[longest]))} on it shows {power.power_w[first[longest]]:g} W for "
    found += f"{steps[longest] * power.series.step_us / DAY_US:.1f} days; such stretches are {share:.1%} of it"
    yield Finding("stuck", severity, found, "look at the meter, or leave those cells empty", power.target)
