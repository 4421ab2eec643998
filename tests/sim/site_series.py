"""Made-up sites as the trainer knows them: one whose days and weeks repeat, and one that nobody can foretell."""

from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import DAY_US, ForecastSpec, energy_spec

HOUR_US = DAY_US // 24
HOURLY = energy_spec(HOUR_US, 24)
BERLIN = ZoneInfo("Europe/Berlin")
# Monday, 4 March 2024, 00:00 in Berlin: clocks change in the fourth week.
START_US = 1_709_506_800_000_000


def rhythm(
    days: int,
    spec: ForecastSpec = HOURLY,
    *,
    seed: int = 1,
    noise: float = 0.3,
    level_w: float = 1_000.0,
    zone: ZoneInfo = BERLIN,
    solar: bool = False,
) -> SiteSeries:
    """Days with a morning and an evening, weekends that are lower, and noise; with `solar` also panels."""
    rng = np.random.default_rng(seed)
    steps = days * spec.day_steps
    hour = (np.arange(steps) * spec.step_us + HOUR_US) % DAY_US / HOUR_US
    weekend = (START_US + HOUR_US + np.arange(steps) * spec.step_us) // DAY_US % 7 - 2
    shape = 0.4 + np.exp(-((hour - 8) ** 2) / 6) + 1.5 * np.exp(-((hour - 19) ** 2) / 8)
    power_w = level_w * shape * np.where(np.isin(weekend, (0, 1)), 0.6, 1.0)
    power_w = np.maximum(power_w + noise * level_w * rng.standard_normal(steps), 0.0)
    production_w = None
    if solar:
        clear_w = 3 * level_w * np.maximum(np.cos((hour - 12) / 12 * np.pi), 0.0)
        cloud = np.repeat(rng.uniform(0.2, 1.0, days), spec.day_steps)
        production_w = clear_w * cloud * rng.uniform(0.8, 1.0, steps)
    return SiteSeries("rhythm", "acme", zone, START_US, spec.step_us, power_w, production_w)


def wandering(days: int, spec: ForecastSpec = HOURLY, *, seed: int = 1) -> SiteSeries:
    """A random walk: nothing says more of what comes than the last value."""
    steps = np.random.default_rng(seed).standard_normal(days * spec.day_steps)
    return SiteSeries("wandering", "acme", BERLIN, START_US, spec.step_us, 5_000 + 50 * np.cumsum(steps))
