"""Recordings of homes of the simulator, as files that training reads."""

from datetime import UTC, datetime
from pathlib import Path

from cloud_trainer.sources.generated import home
from gateway.contract.forecast_spec import ENERGY, MINUTE_US

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
    site = home(seed, days, step_us=step_us, solar=True)
    assert site.production_w is not None
    lines = ["time,load_w,solar_w"]
    for at_us, load_w, solar_w in zip(site.at_us(), site.consumption_w, site.production_w, strict=True):
        stamp = datetime.fromtimestamp(int(at_us) / 1e6, UTC).isoformat()
        lines.append(f"{stamp},{load_w:.1f},{solar_w:.1f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    name = path.name.removesuffix(".csv")
    minutes = step_us // MINUTE_US
    path.with_name(f"{name}.map.toml").write_text(MAP.format(cadence_s=minutes * 60, zone=site.zone.key))
    return path
