"""Weeks of the demonstration's home, as training reads them."""

from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.scenario import load_scenario
from firmware_bridge.simulator.stage import house_of
from provisioning.demo.history import CADENCE_S, DAYS, write_history
from provisioning.demo.site import demo_site, write_scenario

pytestmark = pytest.mark.slow


def test_what_is_learnt_from_ends_where_the_demonstration_begins_and_is_of_its_home(tmp_path: Path):
    from cloud_trainer.sources.files import load_files

    scenario, _ = write_scenario(tmp_path, None, None, 40.0)
    site = demo_site(tmp_path, scenario, is_replay=False, run_s=40.0)
    path = write_history(tmp_path / "history", scenario, site.start_us)
    (loaded,) = load_files(path)
    series = loaded.series
    assert (series.end_us, series.step_us, series.span_days) == (site.start_us, CADENCE_S * US_PER_S, DAYS)
    assert loaded.findings == ()
    at_us = series.start_us + np.arange(5, dtype=np.int64) * 60 * US_PER_S
    load_w, solar_w, _ = house_of(load_scenario(scenario)).power_w(at_us)
    assert series.consumption_w[0] == pytest.approx(load_w.mean(), abs=0.06)
    assert series.production_w is not None
    assert series.production_w[0] == pytest.approx(solar_w.mean(), abs=0.06)
    assert series.production_w.max() > 1_000
