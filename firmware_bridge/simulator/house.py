"""A home with habits, solar panels and a grid that fails, as a function of seed and instant. Pure.

No state: a restarted simulator, a trainer and a test get the same watts for the same instant.
Different seeds are different homes. Power is what flows while the grid is up; without a battery
nothing flows while it is out. Times of day follow the local wall clock.
"""

from dataclasses import KW_ONLY, dataclass
from enum import IntEnum
from functools import cached_property
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.simulator.noise import F64, I64, Noise, stream_root, uniform_at
from firmware_bridge.simulator.wall_clock import DAY_S, HOUR_S, WallClock

Mask = NDArray[np.bool_]

# What the main breaker of such a home lets through.
LOAD_W_MAX = 8_000.0
PHASES = 3
NOMINAL_V = 230.0
NOMINAL_HZ = 50.0

_MINUTE_S = 60
_WEEK_S = 7 * DAY_S
_YEAR_S = 365.25 * DAY_S
# Outages are drawn in thirds of a day; most fall into the last, when every kitchen is lit.
_OUTAGE_WINDOW_S = 8 * HOUR_S
_OUTAGE_SHARES = np.array([0.1, 0.25, 0.65])
_OUTAGE_S_MIN, _OUTAGE_S_MAX = 20 * _MINUTE_S, 180 * _MINUTE_S


class HousePower(NamedTuple):
    """What a home draws and makes, `[n]` each; both 0 while the grid is out."""

    load_w: F64
    solar_w: F64
    grid_is_up: Mask


class _Draw(IntEnum):
    """The streams of chance in a home's day; each has its own bucket of time in `_BUCKETS_S`."""

    DAY_LEVEL = 0
    WEEK_LEVEL = 1
    DAY_SHIFT = 2
    ACTIVITY = 3
    MINUTE = 4
    SECOND = 5
    KETTLE = 6
    KETTLE_AT = 7
    OVEN = 8
    OVEN_AT = 9
    WASH = 10
    WASH_AT = 11
    HEAT_DAY = 12
    HEAT_WEEK = 13
    CLOUD_DAY = 14
    CLOUD_WEEK = 15
    CLOUD_SLOW = 16
    CLOUD_FAST = 17


_BUCKETS_S = np.array(
    [
        DAY_S, _WEEK_S, DAY_S, 10 * _MINUTE_S, _MINUTE_S, 1,
        HOUR_S, HOUR_S, DAY_S, DAY_S, DAY_S, DAY_S,
        DAY_S, _WEEK_S, DAY_S, _WEEK_S // 2, 20 * _MINUTE_S, 2 * _MINUTE_S,
    ]
)[:, np.newaxis]  # fmt: skip
assert len(_BUCKETS_S) == len(_Draw), "each stream needs a bucket"


class _Mains(IntEnum):
    """The streams of chance in the grid."""

    OUTAGE = 0
    OUTAGE_AT = 1
    OUTAGE_FOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What makes one home differ from the next; drawn once from its seed."""

    base_w: float
    fridge_w: float
    fridge_period_s: int
    morning_hour: float
    morning_w: float
    noon_w: float
    evening_hour: float
    evening_w: float
    weekend: float
    restlessness: float
    kettles_per_day: float
    ovens_per_week: float
    washes_per_week: float
    cooling_w: float
    solar_noon_hour: float
    phase_v: tuple[float, float, float]


@dataclass(frozen=True)
class House:
    """One home. Instants are microseconds UTC, int64 `[n]`."""

    seed: int
    _: KW_ONLY
    time_zone: str = "UTC"
    # watts of the panels under a high sun and a clear sky; 0 for a home without
    solar_peak_w: float = 4_000.0
    # 0 for a grid that never fails
    outages_per_week: float = 4.0

    @cached_property
    def habits(self) -> Habits:
        """The seed's habits."""
        return _habits(self.seed)

    def power_w(self, at_us: I64) -> HousePower:
        """Load and production at each instant, watts."""
        local_s = self._wall_clock.local_s(at_us)
        draws = self._noise.uniform(local_s // _BUCKETS_S)
        is_up = self._grid_is_up(local_s)
        flows = is_up.astype(np.float64)
        load_w = flows * np.minimum(self._load_w(local_s, draws), LOAD_W_MAX)
        return HousePower(load_w, flows * self._solar_w(local_s, draws), is_up)

    def sunlight(self, at_us: I64) -> F64:
        """The sun on a panel at each instant: 1 when it is high in a clear sky, 0 at night."""
        local_s = self._wall_clock.local_s(at_us)
        return self._sun(1.0, local_s, self._noise.uniform(local_s // _BUCKETS_S))

    def local_s(self, at_us: I64) -> I64:
        """The home's wall clock at each instant, see `WallClock.local_s`."""
        return self._wall_clock.local_s(at_us)

    def grid_is_up(self, at_us: I64) -> Mask:
        """Whether the grid feeds the home at each instant."""
        return self._grid_is_up(self._wall_clock.local_s(at_us))

    def voltage_v(self, at_us: I64) -> F64:
        """Voltage of the three phases to neutral, `[3, n]`: lower in the evening, never still."""
        local_s = self._wall_clock.local_s(at_us)
        draws = self._mains_noise.uniform(local_s // _MAINS_BUCKETS_S)
        wave = -4.0 * np.cos(2 * np.pi * (local_s / HOUR_S - 19.0) / 24)
        phase = np.array(self.habits.phase_v)[:, np.newaxis]
        volts = NOMINAL_V + wave + phase + 3.0 * (draws[0:3] - 0.5) + 1.2 * (draws[3:6] - 0.5)
        return np.asarray(volts * self._grid_is_up(local_s))

    def frequency_hz(self, at_us: I64) -> F64:
        """Frequency of the grid at each instant; 0 while it is out."""
        local_s = self._wall_clock.local_s(at_us)
        draws = self._mains_noise.uniform(local_s // _MAINS_BUCKETS_S)
        hertz = NOMINAL_HZ + 0.06 * (draws[6] - 0.5) + 0.02 * (draws[7] - 0.5)
        return np.asarray(hertz * self._grid_is_up(local_s))

    @cached_property
    def _wall_clock(self) -> WallClock:
        return WallClock(self.time_zone)

    @cached_property
    def _noise(self) -> Noise:
        return Noise(self.seed, len(_Draw))

    @cached_property
    def _mains_noise(self) -> Noise:
        return Noise(self.seed + _MAINS_SEED, len(_MAINS_BUCKETS_S))

    @cached_property
    def _outage_noise(self) -> Noise:
        return Noise(self.seed + _OUTAGE_SEED, len(_Mains))

    def _load_w(self, local_s: I64, draws: F64) -> F64:
        habits = self.habits
        day, second = np.divmod(local_s, DAY_S)
        hour = second / HOUR_S
        weekend = ((day + 3) % 7 >= 5).astype(np.float64)  # the epoch was a Thursday
        level = 0.65 + 0.4 * draws[_Draw.DAY_LEVEL] + 0.3 * draws[_Draw.WEEK_LEVEL]
        shift = draws[_Draw.DAY_SHIFT] - 0.5
        morning = habits.morning_w * _bump(hour, habits.morning_hour + shift + 1.5 * weekend, 1.1)
        noon = habits.noon_w * _bump(hour, 13.0, 2.2) * (1.0 + habits.weekend * weekend)
        evening = habits.evening_w * _bump(hour, habits.evening_hour + shift, 2.0)
        rhythm = np.asarray(morning + noon + evening, dtype=np.float64)
        activity = 1.0 + habits.restlessness * (draws[_Draw.ACTIVITY] - 0.5)
        flicker = 1.0 + 0.06 * (draws[_Draw.MINUTE] - 0.5) + 0.02 * (draws[_Draw.SECOND] - 0.5)
        is_cold = (local_s % habits.fridge_period_s) * 5 < habits.fridge_period_s * 2
        steady_w = habits.base_w + habits.fridge_w * is_cold + rhythm * level * activity
        return np.asarray(
            steady_w * flicker
            + self._kettle_w(second, rhythm, draws)
            + self._oven_w(second, weekend, draws)
            + self._wash_w(second, draws)
            + self._cooling_w(local_s, hour, draws)
        )

    def _kettle_w(self, second: I64, rhythm: F64, draws: F64) -> F64:
        """Three minutes of 2.1 kW, at hours when somebody is about."""
        habits = self.habits
        chance = habits.kettles_per_day / 9 * np.minimum(rhythm / habits.evening_w, 1.0)
        since_s = second % HOUR_S - draws[_Draw.KETTLE_AT] * (HOUR_S - 180)
        return np.asarray(2_100.0 * ((since_s >= 0) & (since_s < 180) & (draws[_Draw.KETTLE] < chance)))

    def _oven_w(self, second: I64, weekend: F64, draws: F64) -> F64:
        """A meal: 50 minutes before the evening peak, its thermostat on for 60 %."""
        chance = self.habits.ovens_per_week / 7 * (1.0 + 0.3 * weekend)
        since_s = second - (self.habits.evening_hour - 2.0 + 2.0 * draws[_Draw.OVEN_AT]) * HOUR_S
        runs = (since_s >= 0) & (since_s < 3_000) & (draws[_Draw.OVEN] < chance)
        return np.asarray(2_200.0 * (runs & (since_s % 300 < 180)))

    def _wash_w(self, second: I64, draws: F64) -> F64:
        """A wash: 20 minutes of heating, then 50 of the motor."""
        since_s = second - (8.0 + 9.0 * draws[_Draw.WASH_AT]) * HOUR_S
        runs = (since_s >= 0) & (since_s < 4_200) & (draws[_Draw.WASH] < self.habits.washes_per_week / 7)
        return np.asarray(runs * np.where(since_s < 1_200, 1_900.0, 250.0))

    def _cooling_w(self, local_s: I64, hour: F64, draws: F64) -> F64:
        """Air conditioning on hot afternoons: the hotter, the longer its compressor runs."""
        season = 0.25 * np.cos(2 * np.pi * (local_s / _YEAR_S - 0.54))
        heat = 0.6 * draws[_Draw.HEAT_DAY] + 0.4 * draws[_Draw.HEAT_WEEK] + season - 0.35
        duty = np.minimum(heat * _bump(hour, 16.5, 3.0) * 2.0, 1.0)
        return np.asarray(self.habits.cooling_w * (local_s % 1_500 < 1_500 * duty))

    def _solar_w(self, local_s: I64, draws: F64) -> F64:
        if self.solar_peak_w == 0:
            return np.zeros(local_s.shape)
        return self._sun(self.solar_peak_w, local_s, draws)

    def _sun(self, peak: float, local_s: I64, draws: F64) -> F64:
        season = np.cos(2 * np.pi * (local_s / _YEAR_S - 0.47))
        half_day_h = 6.0 + 0.8 * season
        from_noon = ((local_s % DAY_S) / HOUR_S - self.habits.solar_noon_hour) / half_day_h
        height = np.maximum(1.0 - from_noon * from_noon, 0.0)
        cover = 0.7 * draws[_Draw.CLOUD_DAY] + 0.3 * draws[_Draw.CLOUD_WEEK]
        clear = 1.0 - 0.8 * cover * cover
        # Broken clouds throw the most fluctuating shadows; a clear and a grey sky are both calm.
        broken = 2.0 * cover * (1.0 - cover)
        shadow = 1.0 - broken * (0.6 * draws[_Draw.CLOUD_SLOW] + 0.4 * draws[_Draw.CLOUD_FAST])
        return np.asarray(peak * (0.9 + 0.1 * season) * height**1.3 * clear * shadow)

    def _grid_is_up(self, local_s: I64) -> Mask:
        if self.outages_per_week == 0:
            return np.ones(local_s.shape, dtype=np.bool_)
        window, second = np.divmod(local_s, _OUTAGE_WINDOW_S)
        draws = self._outage_noise.uniform(np.broadcast_to(window, (len(_Mains), *window.shape)))
        chance = self.outages_per_week / 7 * _OUTAGE_SHARES[window % 3]
        # Short ones are the rule: the square keeps most below an hour.
        length_s = _OUTAGE_S_MIN + (_OUTAGE_S_MAX - _OUTAGE_S_MIN) * draws[_Mains.OUTAGE_FOR] ** 2
        since_s = second - draws[_Mains.OUTAGE_AT] * (_OUTAGE_WINDOW_S - length_s)
        is_out = (draws[_Mains.OUTAGE] < chance) & (since_s >= 0) & (since_s < length_s)
        return np.asarray(~is_out)


# Three phases by minute, three by second, then the frequency by minute and by second.
_MAINS_BUCKETS_S = np.array([_MINUTE_S] * 3 + [1] * 3 + [_MINUTE_S, 1])[:, np.newaxis]
_MAINS_SEED, _OUTAGE_SEED, _HABIT_SEED = 1 << 40, 1 << 41, 1 << 42


def _habits(seed: int) -> Habits:
    root, drawn = stream_root(seed + _HABIT_SEED, 0), count()

    def between(low: float, high: float) -> float:
        return low + (high - low) * uniform_at(root, next(drawn))

    size = between(0.7, 1.3)
    return Habits(
        base_w=size * between(120, 260),
        fridge_w=between(80, 150),
        fridge_period_s=round(between(2_000, 3_600)),
        morning_hour=between(6.0, 8.0),
        morning_w=size * between(300, 1_100),
        noon_w=size * between(100, 500),
        evening_hour=between(18.5, 20.5),
        evening_w=size * between(900, 1_900),
        weekend=between(0.5, 2.0),
        restlessness=between(0.4, 0.9),
        kettles_per_day=between(2, 7),
        ovens_per_week=between(1, 5),
        washes_per_week=between(1, 5),
        cooling_w=size * between(0, 1_300),
        solar_noon_hour=between(11.8, 12.6),
        phase_v=(between(-2, 2), between(-2, 2), between(-2, 2)),
    )


def _bump(hour: F64, centre: float | F64, width_h: float) -> F64:
    """A bell around `centre`, counted around the clock."""
    distance = ((hour - centre + 12.0) % 24.0 - 12.0) / width_h
    return np.asarray(np.exp(-0.5 * distance * distance))
