"""Generated sites, and the windows a forecaster learns from. Pure, seeded.

Inputs are computed by `gateway.contract.inputs` alone, as on the device; this module chooses what
goes in: which sites, which instants, and what is missing.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.workshops import workshop_power_w
from firmware_bridge.simulator.house import House
from gateway.contract.inputs import (
    DAY_STEPS,
    F32,
    F64,
    HISTORY_STEPS,
    HORIZON_STEPS,
    I64,
    STEP_US,
    Mask,
    forecast_tensor,
    is_forecastable,
    scale_window,
    utc_offset_us,
)

_DAY_US = DAY_STEPS * STEP_US
# Monday 1 January 2024 00:00 UTC; sites begin on different days of the year that follows.
_EPOCH_US = 1_704_067_200_000_000
# A home is looked at once a minute, as a gateway does: a kettle boils for three.
_SAMPLE_US = 60_000_000
# Offsets of whole, half and no hours, with and without summer time.
_ZONES = ("Africa/Lagos", "Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Asia/Seoul")
# Windows begin 4 h 45 min apart: 19 steps share no factor with a day's 96, so all times of day come up.
WINDOW_EVERY_STEPS = 19
# One window in five lacks its oldest days, as a new site does; one in five has holes.
_COLD_SHARE, _HOLES_SHARE = 0.2, 0.2
_HOLES_MAX, _HOLE_STEPS_MAX = 4, 48


@dataclass(frozen=True, slots=True)
class Site:
    """One generated load: average power of consecutive steps from `start_us`, watts."""

    name: str
    zone: ZoneInfo
    start_us: int
    power_w: F64  # [steps]


@dataclass(frozen=True, slots=True)
class Windows:
    """What the model sees and should say; `n` windows."""

    inputs: F32  # [n, HORIZON_STEPS, CHANNELS]
    targets: F32  # [n, HORIZON_STEPS]: (power - anchor) / scale
    scale_w: F64  # [n]
    issued_us: I64  # [n]
    site: I64  # [n], which of the sites

    def __len__(self) -> int:
        return len(self.inputs)

    def where(self, rows: I64 | Mask) -> "Windows":
        """Some of these windows."""
        return Windows(
            self.inputs[rows], self.targets[rows], self.scale_w[rows], self.issued_us[rows], self.site[rows]
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Windows to learn from, to choose by, and to judge by: the last from sites never learnt from."""

    train: Windows
    validation: Windows
    test: Windows
    test_cold: Windows  # the same instants as `test`, two days after a cold start


def home(seed: int, days: int) -> Site:
    """A home of the simulator, seen as its steps."""
    rng = np.random.default_rng([seed, 0x40E])
    zone, start_us = _place(rng)
    house = House(seed, time_zone=zone.key, solar_peak_w=0.0, outages_per_week=float(rng.uniform(0, 5)))
    at_us = start_us + np.arange(days * _DAY_US // _SAMPLE_US, dtype=np.int64) * _SAMPLE_US
    load_w = house.power_w(at_us).load_w.reshape(-1, STEP_US // _SAMPLE_US).mean(axis=-1)
    return Site(f"home-{seed}", zone, start_us, _drifting(load_w, rng))


def workshop(seed: int, days: int) -> Site:
    """A business with working days and shifts."""
    rng = np.random.default_rng([seed, 0x40F])
    zone, start_us = _place(rng)
    at_us = start_us + np.arange(days * DAY_STEPS, dtype=np.int64) * STEP_US
    load_w = workshop_power_w(seed, at_us + utc_offset_us(at_us, zone))
    return Site(f"workshop-{seed}", zone, start_us, _drifting(load_w, rng))


def split(sites: list[Site], *, test_every: int, train_share: float, rng: np.random.Generator) -> Split:
    """Windows split twice: by site (each `test_every`-th is kept unseen) and by time, with a gap of one horizon.

    What is learnt from ends at `train_share` of each site's time; what is judged begins a horizon later.
    """
    train, validation, test, cold = [], [], [], []
    for number, site in enumerate(sites):
        steps = len(site.power_w)
        middle = HISTORY_STEPS + int((steps - HISTORY_STEPS) * train_share)
        early = origins(HISTORY_STEPS, middle)
        late = origins(middle + HORIZON_STEPS, steps)
        if number % test_every == test_every - 1:
            test.append(windows(site, number, late, whole(len(late))))
            cold.append(windows(site, number, late, known_since(np.full(len(late), 2 * DAY_STEPS))))
        else:
            train.append(windows(site, number, early, spoilt(len(early), rng)))
            validation.append(windows(site, number, late, spoilt(len(late), rng)))
    return Split(*(_joined(parts) for parts in (train, validation, test, cold)))


def windows(site: Site, number: int, origin: I64, known: Mask) -> Windows:
    """One window per `origin`: a week known as `known` says before it, its horizon after it.

    Args:
        site: where.
        number: which of the sites it is.
        origin: steps of the site at which a forecast is issued, `[n]`.
        known: `[n, HISTORY_STEPS]`.
    """
    history = site.power_w[origin[:, np.newaxis] + np.arange(-HISTORY_STEPS, 0)]
    future = site.power_w[origin[:, np.newaxis] + np.arange(HORIZON_STEPS)]
    issued_us = site.start_us + origin * STEP_US
    scaled = scale_window(history, known)
    targets = (future - scaled.anchor_w[:, np.newaxis]) / scaled.scale_w[:, np.newaxis]
    return Windows(
        inputs=forecast_tensor(scaled, issued_us, site.zone),
        targets=targets.astype(np.float32),
        scale_w=scaled.scale_w,
        issued_us=issued_us,
        site=np.full(len(origin), number),
    )


def origins(first: int, steps: int) -> I64:
    """Steps at which forecasts are issued, from `first` on, so that each horizon ends within `steps`."""
    return np.arange(first, steps - HORIZON_STEPS + 1, WINDOW_EVERY_STEPS)


def whole(count: int) -> Mask:
    """Histories in which nothing is missing."""
    return np.ones((count, HISTORY_STEPS), dtype=np.bool_)


def known_since(steps: I64) -> Mask:
    """Histories of sites that were switched on `steps` before the forecast, `[n]`."""
    age = HISTORY_STEPS - np.arange(HISTORY_STEPS)
    return np.asarray(age <= steps[:, np.newaxis])


def spoilt(count: int, rng: np.random.Generator) -> Mask:
    """Histories as sites have them: most whole, some young, some with holes; all fit for a forecast."""
    fate = rng.random(count)
    age = rng.integers(DAY_STEPS, HISTORY_STEPS, count)
    known = known_since(np.where(fate < _COLD_SHARE, age, HISTORY_STEPS))
    for row in np.flatnonzero(fate > 1 - _HOLES_SHARE):
        holed = known[row].copy()
        for _ in range(int(rng.integers(1, _HOLES_MAX + 1))):
            first = int(rng.integers(HISTORY_STEPS))
            holed[first : first + int(rng.integers(1, _HOLE_STEPS_MAX + 1))] = False
        if is_forecastable(holed):
            known[row] = holed
    return known


def _place(rng: np.random.Generator) -> tuple[ZoneInfo, int]:
    """Zone and first instant of a site; the instant is a step's, on any day of the year."""
    zone = ZoneInfo(_ZONES[int(rng.integers(len(_ZONES)))])
    return zone, _EPOCH_US + int(rng.integers(365)) * _DAY_US


def _drifting(power_w: F64, rng: np.random.Generator) -> F64:
    """The same load where guests come, seasons turn and machines are bought: two sites in three drift.

    What is in step with the clock grows and shrinks, and so does, apart from it, what always runs.
    """
    if rng.random() < 1 / 3:
        return power_w
    always_w = np.quantile(power_w, 0.05)
    rhythm = np.exp(_wander(len(power_w), rng.uniform(0.0, 0.5), rng))
    base = np.exp(_wander(len(power_w), rng.uniform(0.0, 1.0), rng))
    extra_w = power_w.mean() * rng.uniform(0.0, 1.0) * (rng.random() < 0.5)
    return np.asarray(np.maximum(power_w - always_w, 0) * rhythm + (always_w + extra_w) * base)


def _wander(steps: int, spread: float, rng: np.random.Generator) -> F64:
    """A level that comes back to 0 within days or weeks, with standard deviation `spread`."""
    days = steps // DAY_STEPS + 2
    memory = np.exp(-1 / rng.uniform(2, 30))
    level = np.empty(days)
    level[0] = rng.standard_normal()
    for day in range(1, days):
        level[day] = memory * level[day - 1] + np.sqrt(1 - memory**2) * rng.standard_normal()
    return np.asarray(spread * np.interp(np.arange(steps) / DAY_STEPS, np.arange(days), level))


def _joined(parts: list[Windows]) -> Windows:
    return Windows(
        inputs=np.concatenate([part.inputs for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        scale_w=np.concatenate([part.scale_w for part in parts]),
        issued_us=np.concatenate([part.issued_us for part in parts]),
        site=np.concatenate([part.site for part in parts]),
    )
