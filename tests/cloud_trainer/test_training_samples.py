from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cloud_trainer.training_samples import WEEK_US, samples, typical_week
from gateway.contract.forecast_spec import ENERGY, LOAD
from gateway.contract.inputs import I64
from tests.sim.training import ZONE, said_and_done, site_samples

NOON_US = 1_709_553_600_000_000
UTC = ZoneInfo("UTC")


@pytest.mark.parametrize("spec", [ENERGY, LOAD])
def test_a_week_has_each_step_once_and_knows_what_is_missing(spec):
    week = site_samples(spec).week
    assert (np.diff(week.start_us) == spec.step_us).all()
    assert WEEK_US * 0.9 < week.start_us[-1] - week.start_us[0] <= WEEK_US + spec.horizon_steps * spec.step_us
    lines = [week.actual_w, week.baseline_w, *week.quantiles_w]
    assert {len(line) for line in lines} == {len(week.start_us)}
    assert len(week.quantiles_w) == len(spec.quantiles)


def test_a_week_begins_at_local_midnight_where_a_forecast_does():
    issued_us = NOON_US + np.arange(0, 24 * 30) * 3_600_000_000
    chain = typical_week(ENERGY, ZONE, issued_us, np.ones(len(issued_us)))
    assert (issued_us[chain[0]] + 3_600_000_000) % 86_400_000_000 == 0
    assert len(chain) == 7


def test_the_week_of_the_median_error_is_taken_and_one_cut_short_is_not():
    issued_us = np.arange(0, 24) * 86_400_000_000
    error_w = np.repeat([5.0, 1.0, 3.0, 99.0], [7, 7, 7, 3])
    assert typical_week(ENERGY, UTC, issued_us, error_w).tolist() == list(range(14, 21))


def test_errors_and_reliability_are_those_of_the_known_steps():
    issued_us: I64 = np.arange(0, 40) * 86_400_000_000
    actual_w = np.full((40, 96), 100.0)
    actual_w[:10] = np.nan
    median_w = np.where(np.arange(96) < 48, 110.0, 80.0) * np.ones((40, 1))
    said_w = np.stack([median_w - 15, median_w, median_w + 30], axis=-1)
    found = samples(
        ENERGY, "a", UTC, issued_us, actual_w=actual_w, said_w=said_w, baseline="b", baseline_w=actual_w + 7
    )
    assert found.by_lead.mae_w == [10.0] * 48 + [20.0] * 48
    assert found.by_lead.bias_w == [10.0] * 48 + [-20.0] * 48
    assert found.by_hour.baseline_mae_w == pytest.approx([7.0] * 24)
    assert found.observed == [0.0, 0.5, 1.0]
    assert found.observed_calibrated is None


def test_where_nothing_was_measured_there_is_nothing():
    issued_us, actual_w, said_w, naive_w = said_and_done(ENERGY)
    nothing = np.full_like(actual_w, np.nan)

    def found(rows):
        said = {"actual_w": nothing[rows], "said_w": said_w[rows], "baseline_w": naive_w[rows]}
        return samples(ENERGY, "a", ZONE, issued_us[rows], baseline="b", **said)

    unknown, none = found(slice(None)), found(slice(0))
    assert np.isnan([*unknown.observed, *unknown.by_hour.mae_w]).all()
    assert none.week.start_us == []
    assert none.week.quantiles_w == [[], [], []]
