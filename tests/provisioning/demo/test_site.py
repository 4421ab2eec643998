import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.scenario import faults_of, load_scenario
from firmware_bridge.simulator.stage import set_stage
from gateway.config import load_file
from provisioning.demo import site as plan
from provisioning.demo.site import DemoSite

NAMES = ["a space", "it's", 'a "quoted" one', "back\\slash", "größe 家 ☀", "line\nbreak", "tab\tand delete\x7f"]
MAP = """\
source = "made for a test"
cadence_s = 900
rated_power_w = 20000
[time]
column = "time"
stamps = "start"
time_zone = "Etc/GMT-1"
[value]
column = "power"
unit = "W"
"""


def house(folder: Path, run_s: float = 60.0) -> DemoSite:
    scenario, form = plan.write_scenario(folder, None, None, run_s)
    assert form is None
    return plan.demo_site(folder, scenario, is_replay=False, run_s=run_s)


def write_config(site: DemoSite) -> Path:
    return plan.write_gateway_config(site, None, bus_port=1502, sync_port=8470, bundle_port=8471)


def recording(folder: Path) -> Path:
    rows = [f"2026-03-0{1 + slot // 96}T{slot % 96 // 4:02d}:{slot % 4 * 15:02d},500" for slot in range(2 * 96)]
    (folder / "shop.csv").write_text("time,power\n" + "\n".join(rows) + "\n")
    (folder / "shop.map.toml").write_text(MAP)
    return folder / "shop.csv"


@pytest.mark.parametrize("run_s", [10.0, 60.0, 61.7, 86_400.0])
def test_faults_begin_within_the_run_and_are_those_that_the_simulator_plays(tmp_path: Path, run_s: float):
    site = house(tmp_path, run_s)
    faults = {fault.kind: fault for fault in faults_of(load_scenario(site.scenario), site.start_us)}
    assert faults["stuck"].from_us == site.stuck_from_us
    assert faults["spike"].from_us == site.spike_from_us
    assert {fault.meter for fault in faults.values()} == {site.grid_meter}
    end_us = site.start_us + run_s * plan.RATE * US_PER_S
    assert site.start_us < site.stuck_from_us < site.spike_from_us < end_us


@pytest.mark.parametrize("run_s", [10.0, 60.0, 61.7])
def test_a_poll_falls_into_the_spike(tmp_path: Path, run_s: float):
    site = house(tmp_path, run_s)
    assert (site.spike_from_us - site.start_us) % (plan.POLL_S * US_PER_S) == 0
    assert plan.SPIKE_S >= plan.POLL_S


def test_the_gateway_knows_the_meters_that_the_simulator_shows(tmp_path: Path):
    site = house(tmp_path)
    config = load_file(write_config(site))
    shown = [(meter.name, meter.unit, meter.profile) for meter in load_scenario(site.scenario).meters]
    assert [(meter.name, meter.unit, meter.profile) for meter in config.meters] == shown
    assert [meter.role for meter in config.meters] == ["grid", "solar"]
    assert Bridge(config.buses, config.meters, SystemClock()).series
    assert (config.record.poll_period_s, config.record.recording_period_s) == (plan.POLL_S, plan.RECORDING_S)
    assert config.buses[0].url.endswith(":1502")
    assert config.sync is not None
    assert config.sync.url.endswith(":8470")
    assert config.update is not None
    assert config.update.url.endswith(":8471")
    assert config.page is not None
    assert (config.page.host, config.page.port) == ("127.0.0.1", 0)


def test_a_recording_is_shown_by_one_meter_with_its_breaker_and_its_zone(tmp_path: Path):
    csv = recording(tmp_path)
    scenario, form = plan.write_scenario(tmp_path, csv, None, 60.0)
    site = plan.demo_site(tmp_path, scenario, is_replay=True, run_s=60.0)
    assert site.solar_meter is None
    assert [meter.quantity for meter in load_scenario(scenario).meters] == ["replay"]
    config = load_file(plan.write_gateway_config(site, form, bus_port=1, sync_port=2, bundle_port=3))
    (meter,) = config.meters
    assert (meter.name, meter.role, meter.rated_power_w) == (site.grid_meter, "grid", 20_000.0)
    assert config.site.time_zone == "Etc/GMT-1"


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_may_have_any_name(tmp_path: Path, name: str):
    folder = tmp_path / name
    folder.mkdir()
    site = house(folder)
    config = load_file(write_config(site))
    assert config.update is not None
    assert config.clock is not None
    paths = (config.store.folder, config.update.root, config.clock.origin)
    assert paths == (f"{folder}/gateway", f"{folder}/root.json", f"{folder}/clock")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_may_lie_in_any_folder(tmp_path: Path, name: str):
    folder = tmp_path / name
    folder.mkdir()
    scenario, _ = plan.write_scenario(tmp_path, recording(folder), None, 60.0)
    assert set_stage(load_scenario(scenario), tmp_path).start_us > 0


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_whatever_its_name_is_toml_gives_it_back(name: str):
    assert tomllib.loads(f"folder = {plan._quoted(Path(name))}")["folder"] == str(Path(name))
