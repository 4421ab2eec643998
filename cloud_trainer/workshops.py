"""Generated businesses: loads that follow shifts and working days, seeded. Pure.

The homes of the simulator know weekends but no closing time. A forecaster that has only seen homes
trusts yesterday too much, and a workshop on Monday morning is nothing like Sunday. No recording
went into these shapes: they are what working hours, shifts and batches do to any meter.
"""

from dataclasses import dataclass

import numpy as np

from gateway.contract.forecast_spec import ENERGY
from gateway.contract.inputs import F64, I64

_HOUR_US = 3_600_000_000
# What people do to a workshop's load changes no faster; within it only machines flicker.
_RESTLESS_US = ENERGY.step_us
# Chance that a working day is a holiday, and that a site stands still for a week of its year.
_HOLIDAY_CHANCE = 0.02
_SHUTDOWN_CHANCE = 0.3
# How the day off differs between countries and trades; Monday first, 1 = full work.
_WEEKS = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    (1.0, 1.0, 1.0, 1.0, 0.7, 0.0, 0.0),
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0),
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2),
    (1.0, 1.0, 1.0, 1.0, 0.0, 0.4, 1.0),
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """What makes one workshop differ from the next; drawn once from its seed."""

    base_w: float
    peak_w: float
    week: tuple[float, ...]
    opens_hour: float
    closes_hour: float
    evening_share: float
    lunch_depth: float
    batch_hours: float
    batch_depth: float
    restlessness: float
    day_memory: float


def workshop_power_w(seed: int, local_us: I64, step_us: int = ENERGY.step_us) -> F64:
    """Average power of each step, watts; `local_us` are the steps in local wall time, in order, `step_us` wide."""
    rng = np.random.default_rng([seed, 0x5109])
    trade = _trade(rng)
    hour = (local_us // 1_000_000 % 86_400) / 3_600
    day = local_us // 86_400_000_000
    day -= day[0]
    work = _working_days(trade, local_us, rng)[day] * _day_levels(trade, int(day[-1]) + 1, rng)[day]
    shape = _shift(hour, trade.opens_hour, trade.closes_hour)
    shape = np.maximum(shape, trade.evening_share * _shift(hour, trade.opens_hour, trade.opens_hour + 15.5))
    shape *= 1.0 - trade.lunch_depth * _shift(hour, 12.0, 13.0)
    machines = 1.0 - trade.batch_depth * _batches(len(hour), trade.batch_hours * _HOUR_US / step_us, rng)
    noise = np.exp(trade.restlessness * _held(len(hour), step_us, rng))
    flicker = 1.0 + 0.05 * rng.standard_normal(len(hour))
    return np.asarray(np.maximum(trade.base_w * flicker + trade.peak_w * work * shape * machines * noise, 0.0))


def _trade(rng: np.random.Generator) -> Trade:
    peak_w = float(np.exp(rng.uniform(np.log(2_000), np.log(500_000))))
    opens_hour = rng.uniform(5.5, 9.5)
    return Trade(
        base_w=peak_w * rng.uniform(0.02, 0.35),
        peak_w=peak_w,
        week=_WEEKS[int(rng.integers(len(_WEEKS)))],
        opens_hour=opens_hour,
        closes_hour=opens_hour + rng.uniform(7.0, 11.0),
        # A third of them work a second, smaller shift.
        evening_share=rng.uniform(0.2, 0.9) * (rng.random() < 0.35),
        lunch_depth=rng.uniform(0.3, 0.95) * (rng.random() < 0.5),
        batch_hours=rng.uniform(0.5, 4.0),
        batch_depth=rng.uniform(0.0, 0.7),
        restlessness=rng.uniform(0.03, 0.3),
        day_memory=rng.uniform(0.3, 0.9),
    )


def _working_days(trade: Trade, local_us: I64, rng: np.random.Generator) -> F64:
    """How much is worked on each day from the first to the last of `local_us`: the week, holidays, a shutdown."""
    days = int(local_us[-1] // 86_400_000_000 - local_us[0] // 86_400_000_000) + 1
    weekday = (np.arange(days) + local_us[0] // 86_400_000_000 + 3) % 7
    worked = np.array(trade.week)[weekday] * (rng.random(days) >= _HOLIDAY_CHANCE)
    if rng.random() < _SHUTDOWN_CHANCE:
        first = int(rng.integers(max(days - 7, 1)))
        worked[first : first + 7] = 0.0
    return np.asarray(worked)


def _day_levels(trade: Trade, days: int, rng: np.random.Generator) -> F64:
    """Full and slack days: a level with memory from day to day, around 1."""
    level, levels = 0.0, np.empty(days)
    for day in range(days):
        level = trade.day_memory * level + np.sqrt(1 - trade.day_memory**2) * rng.standard_normal()
        levels[day] = level
    return np.asarray(np.clip(1.0 + 0.2 * levels, 0.3, 1.7))


def _shift(hour: F64, opens: float, closes: float) -> F64:
    """1 between opening and closing, with half an hour of ramp; may run over midnight."""
    since = (hour - opens) % 24
    return np.asarray(np.clip(np.minimum(since, closes - opens - since) * 2 + 0.5, 0.0, 1.0))


def _held(steps: int, step_us: int, rng: np.random.Generator) -> F64:
    """Chance that is drawn anew each quarter of an hour, or each step where that is longer."""
    quarter = np.arange(steps, dtype=np.int64) * step_us // max(_RESTLESS_US, step_us)
    return np.asarray(rng.standard_normal(int(quarter[-1]) + 1)[quarter])


def _batches(steps: int, length_steps: float, rng: np.random.Generator) -> F64:
    """1 where the large machines pause, 0 where they run: a random telegraph of this mean length."""
    switches = rng.random(steps) < 1 / length_steps
    return np.asarray(np.cumsum(switches) % 2, dtype=np.float64)
