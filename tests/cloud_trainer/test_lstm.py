from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cloud_trainer.judge import judged
from cloud_trainer.lstm import lstm_row, sequences
from cloud_trainer.train import Lesson, TrainConfig, split
from cloud_trainer.windows import joined, windows
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW
from tests.sim.site_series import BERLIN, HOURLY, rhythm

UTC = ZoneInfo("UTC")
# The hours around the change of clocks on 31 March 2024.
SPRING = np.arange(27 * 24, 29 * 24)


@pytest.mark.parametrize(("spec", "steps"), [(ENERGY, 96), (LOAD_SLOW, 96), (HOURLY, 84)])
def test_it_sees_the_last_day_or_what_there_is(spec, steps):
    site = rhythm(8, spec)
    some = windows(spec, site, "consumption_w", np.array([6 * spec.day_steps]))
    seen = sequences(spec, [site], some)
    assert seen.shape == (1, steps, 6)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[..., 0], some.recent[:, -steps:])


def test_the_calendar_is_that_of_each_site_also_when_clocks_change():
    there, utc = rhythm(32), rhythm(32, zone=UTC)
    some = joined([windows(HOURLY, one, "consumption_w", SPRING, number=i) for i, one in enumerate((there, utc))])
    seen = sequences(HOURLY, [there, utc], some)
    zones = [BERLIN] * len(SPRING) + [UTC] * len(SPRING)
    for row, (zone, issued_us) in enumerate(zip(zones, some.issued_us, strict=True)):
        for step in (0, 50, 83):
            at_us = int(issued_us) - (84 - step) * HOURLY.step_us
            at = datetime.fromtimestamp(at_us / 1e6, zone)
            day = 2 * np.pi * at.hour / 24
            week = 2 * np.pi * (at.weekday() * 24 + at.hour) / 168
            wanted = [np.sin(day), np.cos(day), np.sin(week), np.cos(week), at.weekday() >= 5]
            np.testing.assert_allclose(seen[row, step, 1:], wanted, atol=1e-6)


@pytest.fixture(scope="module")
def lesson():
    """Ten weeks of a site, some steps of which nobody knows, and who judges."""
    site = rhythm(70)
    site.consumption_w[900:905] = np.nan
    config = TrainConfig(
        spec=HOURLY, target="consumption_w", lesson=Lesson(), seeds=(5, 6), windows_max=300, judged_max=100
    )
    data = split(config, [site])
    assert np.isnan(data.train.targets).any()
    parts = (judged(HOURLY, [site], "consumption_w", one, data.train_sd_w) for one in (data.validation, data.test))
    return config, data, *parts


@pytest.mark.tf
def test_it_competes_with_each_seed_and_learns_in_spite_of_gaps_and_the_same_seed_gives_the_same(lesson):
    config, data, validation, test = lesson
    said: list[str] = []
    twice = replace(config, seeds=(5, 5, 6), lstm_seeds_max=2, lstm_epochs_max=2)
    row = lstm_row(twice, data, validation, test, said.append)
    assert (row.name, row.is_naive) == ("lstm", False)
    assert row.parameters == 21_496 - 26 * (96 - 24)
    assert row.remark == "never ships: a gateway runs no loop; seed 5: 2 epochs; seed 5: 2 epochs"
    assert len(row.validation) == len(row.test) == 2
    assert 0 < row.test[0].pinball_sd < 1
    assert row.test[0].mae_by_lead_w == row.test[1].mae_by_lead_w
    losses = [float(line.split("squared error ")[1].split(",")[0]) for line in said]
    assert losses[2:] == losses[:2]
    assert losses[1] < losses[0]


@pytest.mark.tf
def test_it_ends_when_its_time_is_over(lesson):
    config, data, validation, test = lesson
    row = lstm_row(replace(config, lstm_minutes_max=0), data, validation, test, lambda _: None)
    assert row.remark.endswith("seed 5: 1 epochs, until its 0 min were over")
    assert np.isfinite(row.test[0].mae_w)
