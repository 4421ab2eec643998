"""Generated sites: homes of the simulator, and workshops, that drift as real ones do. Pure, seeded.

The same seed is the same site, at 15 minutes and at 5, with solar panels and without.
"""

from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.series import SiteSeries
from cloud_trainer.workshops import workshop_power_w
from firmware_bridge.simulator.house import House
from gateway.contract.forecast_spec import DAY_US, ENERGY, MINUTE_US
from gateway.contract.inputs import F64
from gateway.contract.local_time import utc_offset_us

ORGANISATION = "generated"

# Monday 1 January 2024 00:00 UTC; sites begin on different days of the year that follows.
_EPOCH_US = 1_704_067_200_000_000
# A home is looked at once a minute, as a gateway does: a kettle boils for three.
_SAMPLE_US = MINUTE_US
# Minutes are made a week at a time: the streams of chance of a whole year take 75 MB.
_CHUNK_SAMPLES = 7 * DAY_US // _SAMPLE_US
# Offsets of whole, half and no hours, with and without summer time.
_ZONES = ("Africa/Lagos", "Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Asia/Seoul")
# From a few panels on a shed to a whole roof.
_SOLAR_W_MIN, _SOLAR_W_MAX = 1_500.0, 9_000.0
# Seeds of sites lie apart for each seed of training.
_SEEDS_APART = 1_000_000


def generated_sites(
    homes: int, workshops: int, days: int, *, seed: int, step_us: int = ENERGY.step_us
) -> list[SiteSeries]:
    """Homes, every other one with solar panels, and then workshops."""
    first = seed * _SEEDS_APART
    sites = [home(first + number, days, step_us=step_us, solar=number % 2 == 0) for number in range(homes)]
    return sites + [workshop(first + number, days, step_us=step_us) for number in range(workshops)]


def home(seed: int, days: int, *, step_us: int = ENERGY.step_us, solar: bool = False) -> SiteSeries:
    """A home of the simulator, seen as its steps; its grid fails now and then.

    Args:
        seed: which home.
        days: how long.
        step_us: width of a step, whole minutes.
        solar: whether it has panels; its load is the same.
    """
    rng = np.random.default_rng([seed, 0x40E])
    zone, start_us = _place(rng)
    outages_per_week = float(rng.uniform(0, 5))
    peak_w = float(np.random.default_rng([seed, 0x410]).uniform(_SOLAR_W_MIN, _SOLAR_W_MAX)) if solar else 0.0
    house = House(seed, time_zone=zone.key, solar_peak_w=peak_w, outages_per_week=outages_per_week)
    load_w, solar_w = _sampled(house, start_us, days, step_us)
    return SiteSeries(
        name=f"home-{seed}",
        organisation=ORGANISATION,
        zone=zone,
        start_us=start_us,
        step_us=step_us,
        consumption_w=_drifting(load_w, step_us, rng),
        production_w=solar_w if solar else None,
    )


def workshop(seed: int, days: int, *, step_us: int = ENERGY.step_us) -> SiteSeries:
    """A business with working days and shifts."""
    rng = np.random.default_rng([seed, 0x40F])
    zone, start_us = _place(rng)
    at_us = start_us + np.arange(days * DAY_US // step_us, dtype=np.int64) * step_us
    load_w = workshop_power_w(seed, at_us + utc_offset_us(at_us, zone), step_us)
    consumption_w = _drifting(load_w, step_us, rng)
    return SiteSeries(f"workshop-{seed}", ORGANISATION, zone, start_us, step_us, consumption_w)


def _sampled(house: House, start_us: int, days: int, step_us: int) -> tuple[F64, F64]:
    """Average load and production of each step, from samples."""
    samples = days * DAY_US // _SAMPLE_US
    load_w, solar_w = np.empty(samples), np.empty(samples)
    for first in range(0, samples, _CHUNK_SAMPLES):
        chunk = slice(first, min(first + _CHUNK_SAMPLES, samples))
        at_us = start_us + np.arange(chunk.start, chunk.stop, dtype=np.int64) * _SAMPLE_US
        load_w[chunk], solar_w[chunk], _ = house.power_w(at_us)
    per_step = step_us // _SAMPLE_US
    return load_w.reshape(-1, per_step).mean(axis=-1), solar_w.reshape(-1, per_step).mean(axis=-1)


def _place(rng: np.random.Generator) -> tuple[ZoneInfo, int]:
    """Zone and first instant of a site; the instant begins any day of the year, UTC."""
    zone = ZoneInfo(_ZONES[int(rng.integers(len(_ZONES)))])
    return zone, _EPOCH_US + int(rng.integers(365)) * DAY_US


def _drifting(power_w: F64, step_us: int, rng: np.random.Generator) -> F64:
    """The same load where guests come, seasons turn and machines are bought: two sites in three drift.

    What is in step with the clock grows and shrinks, and so does, apart from it, what always runs.
    """
    if rng.random() < 1 / 3:
        return power_w
    always_w = np.quantile(power_w, 0.05)
    rhythm = np.exp(_wander(len(power_w), step_us, rng.uniform(0.0, 0.5), rng))
    base = np.exp(_wander(len(power_w), step_us, rng.uniform(0.0, 1.0), rng))
    extra_w = power_w.mean() * rng.uniform(0.0, 1.0) * (rng.random() < 0.5)
    return np.asarray(np.maximum(power_w - always_w, 0) * rhythm + (always_w + extra_w) * base)


def _wander(steps: int, step_us: int, spread: float, rng: np.random.Generator) -> F64:
    """A level that comes back to 0 within days or weeks, with standard deviation `spread`."""
    day_steps = DAY_US // step_us
    days = steps // day_steps + 2
    memory = np.exp(-1 / rng.uniform(2, 30))
    level = np.empty(days)
    level[0] = rng.standard_normal()
    for day in range(1, days):
        level[day] = memory * level[day - 1] + np.sqrt(1 - memory**2) * rng.standard_normal()
    return np.asarray(spread * np.interp(np.arange(steps) / day_steps, np.arange(days), level))
