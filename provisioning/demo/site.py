"""The demonstration's site: its scenario, its gateway's configuration, and when what happens.

A simulated day passes every ten seconds, so a week of meters, forecasts and faults fits in a minute.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.replay_map import ReplayMap, find_map, load_map
from firmware_bridge.simulator.scenario import load_scenario
from firmware_bridge.simulator.stage import set_stage

GATEWAY_ID = "demo-gateway"
DAY_S = 86_400
# Simulated seconds per real second: a day every ten. Slower machines hold the time, they skip nothing.
RATE = DAY_S / 10
POLL_S = 60
RECORDING_S = 300
# Two simulated hours are less than a second here: the cloud keeps up with the site.
SYNC_PERIOD_S = 7_200
# The updater is a process of its own; every five real seconds leaves the machine room to breathe.
UPDATE_PERIOD_S = DAY_S // 2
# What happens when, as parts of the run. Without an end the first minute is the measure.
STUCK_AT, STUCK_S = 0.30, 3 * 3600
SPIKE_AT, SPIKE_S, SPIKE_ADD_W = 0.50, POLL_S, 15_000.0
SECOND_RELEASE_AT, BAD_RELEASE_AT = 0.40, 0.65
ENDLESS_S = 60.0
# Forecasts of a site that no model has seen are worth comparing after a week.
FROM_DAY = 8
# Less leaves no time to notice the refused release: a check is due every five seconds.
SECONDS_MIN = 20


@dataclass(frozen=True, slots=True)
class DemoSite:
    """What is simulated, and where its files lie."""

    folder: Path
    scenario: Path
    start_us: UtcUs
    grid_meter: str
    solar_meter: str | None
    stuck_from_us: UtcUs
    spike_from_us: UtcUs


def write_scenario(
    folder: Path, replay: Path | None, replay_map: Path | None, run_s: float
) -> tuple[Path, ReplayMap | None]:
    """Write the simulator's scenario into `folder`; also gives the map of the recording, if there is one.

    Raises:
        SettingError: the recording or its map cannot be used.
    """
    path = folder / "scenario.toml"
    if replay is None:
        path.write_text(_house_scenario(run_s), "utf-8")
        return path, None
    if not replay.is_file():
        raise SettingError("--replay", str(replay), "is not there", "name a recorded CSV, plain or .gz")
    used_map = find_map(replay) if replay_map is None else replay_map
    text = _REPLAY_SCENARIO.format(file=_quoted(replay.resolve()), map=_quoted(used_map.resolve()))
    path.write_text(text, "utf-8")
    return path, load_map(used_map)


def demo_site(folder: Path, scenario: Path, *, is_replay: bool, run_s: float) -> DemoSite:
    """Open the scenario once, to check it and to know its first instant.

    Raises:
        SettingError: something in it cannot be used.
    """
    start_us = set_stage(load_scenario(scenario), scenario.parent).start_us
    return DemoSite(
        folder=folder,
        scenario=scenario,
        start_us=start_us,
        grid_meter="main",
        solar_meter=None if is_replay else "solar",
        stuck_from_us=UtcUs(start_us + round(STUCK_AT * run_s * RATE) * US_PER_S),
        spike_from_us=UtcUs(start_us + _spike_s(run_s) * US_PER_S),
    )


def write_gateway_config(
    site: DemoSite, form: ReplayMap | None, *, bus_port: int, sync_port: int, bundle_port: int
) -> Path:
    """Write the gateway's configuration; the same file an installer would write."""
    path = site.folder / "gateway.toml"
    rated_w = 17_250 if form is None else form.rated_power_w
    text = _GATEWAY.format(
        gateway=GATEWAY_ID,
        time_zone="UTC" if form is None else form.time.time_zone,
        bus_port=bus_port,
        rated_w=rated_w,
        solar="" if site.solar_meter is None else _SOLAR_METER,
        poll_s=POLL_S,
        recording_s=RECORDING_S,
        folder=_quoted(site.folder / "gateway"),
        sync_port=sync_port,
        sync_s=SYNC_PERIOD_S,
        bundle_port=bundle_port,
        root=_quoted(site.folder / "root.json"),
        update_s=UPDATE_PERIOD_S,
        origin=_quoted(site.folder / "clock"),
    )
    path.write_text(text, "utf-8")
    return path


def _house_scenario(run_s: float) -> str:
    return _HOUSE_SCENARIO.format(
        rate=RATE,
        stuck_at=round(STUCK_AT * run_s * RATE),
        stuck_s=STUCK_S,
        spike_at=_spike_s(run_s),
        spike_s=SPIKE_S,
        spike_w=SPIKE_ADD_W,
    )


def _spike_s(run_s: float) -> int:
    """Seconds from the start, on a poll: a spike between two polls nobody sees."""
    return round(SPIKE_AT * run_s * RATE / POLL_S) * POLL_S


def _quoted(path: Path) -> str:
    """A TOML string: JSON's escapes are TOML's, which wants one character more escaped."""
    return json.dumps(str(path), ensure_ascii=False).replace("\x7f", "\\u007f")


_HOUSE_SCENARIO = """\
# A home with solar on a grid that fails: the same days every time.
[site]
seed = 1
rate = {rate}

[[meter]]
name = "main"
unit = 1
profile = "eastron_sdm630"
quantity = "grid"

[[meter]]
name = "solar"
unit = 2
profile = "carlo_gavazzi_em340"
quantity = "solar"

[[fault]]
kind = "stuck"
meter = "main"
at = {stuck_at}
for_s = {stuck_s}

[[fault]]
kind = "spike"
meter = "main"
register = "active_power_w"
at = {spike_at}
for_s = {spike_s}
add = {spike_w}
"""

_REPLAY_SCENARIO = """\
# A recorded site, shown by one meter.
[[meter]]
name = "main"
unit = 1
profile = "eastron_sdm630"
quantity = "replay"

[replay]
file = {file}
map = {map}
"""

_GATEWAY = """\
[site]
gateway_id = "{gateway}"
time_zone = "{time_zone}"

[[bus]]
name = "house"
url = "tcp://127.0.0.1:{bus_port}"

[[meter]]
name = "main"
bus = "house"
unit = 1
profile = "eastron_sdm630"
role = "grid"
rated_power_w = {rated_w}
{solar}
[record]
poll_period_s = {poll_s}
recording_period_s = {recording_s}

[store]
folder = {folder}

[page]
port = 0

[sync]
url = "http://127.0.0.1:{sync_port}"
period_s = {sync_s}
share = "raw"

[update]
url = "http://127.0.0.1:{bundle_port}"
root = {root}
period_s = {update_s}

[clock]
origin = {origin}
"""

_SOLAR_METER = """
[[meter]]
name = "solar"
bus = "house"
unit = 2
profile = "carlo_gavazzi_em340"
role = "solar"
rated_power_w = 6000
"""
