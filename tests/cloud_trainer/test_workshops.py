import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.workshops import workshop_power_w
from gateway.contract.forecast_spec import ENERGY, LOAD

DAY_STEPS, STEP_US = ENERGY.day_steps, ENERGY.step_us

# Monday 1 January 2024 in local time.
MONDAY_US = 1_704_067_200_000_000


def local_us(days, start_us=MONDAY_US):
    return start_us + np.arange(days * DAY_STEPS, dtype=np.int64) * STEP_US


@given(st.integers(0, 10_000), st.integers(8, 40), st.integers(0, DAY_STEPS))
@settings(max_examples=40, deadline=None)
def test_every_seed_is_a_load_that_can_be(seed, days, start_step):
    power = workshop_power_w(seed, local_us(days, MONDAY_US + start_step * STEP_US))
    assert power.shape == (days * DAY_STEPS,)
    assert np.isfinite(power).all()
    assert 0 <= power.min() <= power.max() < 20e6


def test_the_same_seed_is_the_same_workshop_and_another_is_not():
    assert (workshop_power_w(3, local_us(8)) == workshop_power_w(3, local_us(8))).all()
    assert (workshop_power_w(3, local_us(8)) != workshop_power_w(4, local_us(8))).any()


def test_most_workshops_rest_on_sundays_and_at_night():
    rests, sleeps = [], []
    for seed in range(30):
        hours = workshop_power_w(seed, local_us(28)).reshape(4, 7, 24, 4).mean(axis=(0, 3))
        rests.append(hours[6].mean() < 0.8 * hours[1].mean())
        sleeps.append(hours[1, 2:4].mean() < hours[1, 10:12].mean())
    assert np.mean(rests) > 0.6
    assert np.mean(sleeps) == pytest.approx(1.0, abs=0.1)


def test_at_five_minutes_it_is_as_large_and_as_restless():
    fine_us = MONDAY_US + np.arange(28 * LOAD.day_steps, dtype=np.int64) * LOAD.step_us
    for seed in range(10):
        coarse, fine = workshop_power_w(seed, local_us(28)), workshop_power_w(seed, fine_us, LOAD.step_us)
        assert fine.mean() == pytest.approx(coarse.mean(), rel=0.25)
        assert fine.reshape(-1, 3).mean(axis=-1).std() == pytest.approx(coarse.std(), rel=0.25)
