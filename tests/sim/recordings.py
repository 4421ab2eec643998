"""Recordings of made-up sites, as files that training reads."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cloud_trainer.series import SiteSeries
from cloud_trainer.sources.generated import home
from gateway.contract.forecast_spec import ENERGY, MINUTE_US
from tests.sim.site_series import rhythm, wandering

MAP = """\
source = "the simulator"
cadence_s = {cadence_s}
rated_power_w = 17250

[time]
column = "time"
stamps = "start"
time_zone = "{zone}"

[value]
column = "load_w"
unit = "W"

[production]
column = "solar_w"
unit = "W"
"""


def write_home(path: Path, *, days: int, seed: int = 7, step_us: int = ENERGY.step_us) -> Path:
    """A home with panels as the CSV file `path`, and its map beside it."""
    return _write(path, home(seed, days, step_us=step_us, solar=True))


def write_regular(path: Path, *, days: int) -> Path:
    """A site whose days and weeks repeat as no home's do: who learns it is better than who does not."""
    return _write(path, rhythm(days, ENERGY, noise=0.05, solar=True))


def _write(path: Path, site: SiteSeries) -> Path:
    assert site.production_w is not None
    lines = ["time,load_w,solar_w"]
    for at_us, load_w, solar_w in zip(site.at_us(), site.consumption_w, site.production_w, strict=True):
        stamp = datetime.fromtimestamp(int(at_us) / 1e6, UTC).isoformat()
        lines.append(f"{stamp},{load_w:.1f},{solar_w:.1f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    name = path.name.removesuffix(".csv")
    minutes = site.step_us // MINUTE_US
    path.with_name(f"{name}.map.toml").write_text(MAP.format(cadence_s=minutes * 60, zone=site.zone.key))
    return path


def write_hourly(path: Path, *, days: int, gaps: bool = False, is_chance: bool = False) -> Path:
    """A hall with working days as a gzipped CSV file of the columns `when` and `kw`, without a map.

    With `gaps` some hours are not there and some cells are empty; with `is_chance` nothing repeats.
    """
    site = wandering(days) if is_chance else rhythm(days)
    rng = np.random.default_rng(1)
    lines = ["when,kw"]
    for at_us, power_w in zip(site.at_us(), site.consumption_w, strict=True):
        if gaps and rng.random() < 0.01:
            continue
        cell = "" if gaps and rng.random() < 0.01 else f"{power_w / 1_000:.3f}"
        lines.append(f"{datetime.fromtimestamp(int(at_us) / 1e6, UTC).isoformat()},{cell}")
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path
