"""Weeks of the demonstration's home from before it begins, as a recording that training reads."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.scenario import load_scenario
from firmware_bridge.simulator.stage import house_of

# Enough to learn from, to choose by and to judge by; less is learnt faster.
DAYS = 63
# The finest step that a gateway forecasts in, and how often it looks at its meters here.
CADENCE_S, SAMPLE_S = 300, 60
NAME = "home"
_DAY_S = 86_400

_MAP = f"""\
source = "the demonstration's home"
cadence_s = {CADENCE_S}
rated_power_w = 17250

[time]
column = "time"
stamps = "start"

[value]
column = "load_w"
unit = "W"

[production]
column = "solar_w"
unit = "W"
"""


def write_history(folder: Path, scenario: Path, start_us: UtcUs) -> Path:
    """The weeks until `start_us` of the home of `scenario`, as a CSV file with its map in the new `folder`."""
    house = house_of(load_scenario(scenario))
    first_us = start_us - DAYS * _DAY_S * US_PER_S
    at_us = first_us + np.arange(DAYS * _DAY_S // SAMPLE_S, dtype=np.int64) * SAMPLE_S * US_PER_S
    load_w, solar_w, _ = house.power_w(at_us)
    per_step = CADENCE_S // SAMPLE_S
    load_w, solar_w = (one.reshape(-1, per_step).mean(axis=-1) for one in (load_w, solar_w))
    lines = ["time,load_w,solar_w"]
    for step_us, load, solar in zip(at_us[::per_step].tolist(), load_w, solar_w, strict=True):
        lines.append(f"{datetime.fromtimestamp(step_us / US_PER_S, UTC).isoformat()},{load:.1f},{solar:.1f}")
    folder.mkdir()
    path = folder / f"{NAME}.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    (folder / f"{NAME}.map.toml").write_text(_MAP, "utf-8")
    return path
