from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.dataset import (
    WINDOW_EVERY_STEPS,
    home,
    known_since,
    origins,
    split,
    spoilt,
    whole,
    windows,
    workshop,
)
from gateway.contract.inputs import (
    CHANNEL_NAMES,
    DAY_STEPS,
    HISTORY_STEPS,
    HORIZON_STEPS,
    STEP_US,
    forecast_tensor,
    is_forecastable,
    restore_w,
    scale_window,
)

DAYS = 21


@pytest.fixture(scope="module")
def site():
    return workshop(1, DAYS)


@pytest.fixture(scope="module")
def sites():
    return [home(seed, DAYS) for seed in range(3)] + [workshop(seed, DAYS) for seed in range(3)]


def test_the_same_seed_is_the_same_home_and_another_is_not():
    assert (home(5, 9).power_w == home(5, 9).power_w).all()
    assert (home(5, 9).power_w != home(6, 9).power_w).any()


def test_homes_and_workshops_are_of_their_size(sites):
    assert all(100 < site.power_w.mean() < 8_000 for site in sites[:3])
    assert all(site.power_w.min() >= 0 and site.power_w.shape == (DAYS * DAY_STEPS,) for site in sites)


def test_sites_begin_on_a_step_on_different_days_in_different_zones(sites):
    assert all(site.start_us % STEP_US == 0 for site in sites)
    assert len({site.start_us for site in sites}) > 3
    assert len({site.zone for site in sites}) > 1


def test_a_window_is_what_the_device_would_compute(site):
    at = np.array([HISTORY_STEPS + 40])
    window = windows(site, 0, at, whole(1))
    scaled = scale_window(site.power_w[40 : 40 + HISTORY_STEPS], np.ones(HISTORY_STEPS, dtype=bool))
    issued_us = site.start_us + (HISTORY_STEPS + 40) * STEP_US
    tensor = forecast_tensor(scaled, np.asarray(issued_us), site.zone)
    assert window.issued_us.tolist() == [issued_us]
    assert window.inputs[0].tobytes() == tensor.tobytes()
    as_output = np.repeat(window.targets[0][:, np.newaxis], 3, axis=-1)
    future = site.power_w[HISTORY_STEPS + 40 : HISTORY_STEPS + 40 + HORIZON_STEPS]
    assert restore_w(as_output, scaled)[:, 1] == pytest.approx(future, rel=1e-4)


@given(st.integers(HISTORY_STEPS, (DAYS - 1) * DAY_STEPS), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_no_future_leaks_into_an_input(site, issued, seed):
    """Whatever happens from the instant of issue on, the input is the same to the bit."""
    rng = np.random.default_rng(seed)
    other = site.power_w.copy()
    other[issued:] = rng.uniform(0, 1e6, len(other) - issued)
    one, two = (
        windows(replace(site, power_w=power), 0, np.array([issued]), whole(1)) for power in (site.power_w, other)
    )
    assert one.inputs.tobytes() == two.inputs.tobytes()
    assert (one.targets != two.targets).any()


def test_forecasts_are_issued_at_all_times_of_day():
    at = origins(HISTORY_STEPS, 60 * DAY_STEPS)
    assert at[0] == HISTORY_STEPS
    assert at[-1] + HORIZON_STEPS <= 60 * DAY_STEPS
    assert len(set((at % DAY_STEPS).tolist())) == DAY_STEPS
    assert (np.diff(at) == WINDOW_EVERY_STEPS).all()


def test_learning_and_judging_share_neither_sites_nor_instants(sites):
    parts = split(sites, test_every=3, train_share=0.6, rng=np.random.default_rng(0))
    learnt = set(parts.train.site.tolist())
    assert learnt == set(parts.validation.site.tolist()) == {0, 1, 3, 4}
    assert set(parts.test.site.tolist()) == {2, 5}
    for site in learnt:
        ends_us = parts.train.issued_us[parts.train.site == site].max() + HORIZON_STEPS * STEP_US
        begins_us = parts.validation.issued_us[parts.validation.site == site].min()
        assert begins_us - ends_us >= HORIZON_STEPS * STEP_US


def test_the_cold_windows_are_the_judged_ones_with_two_days_known(sites):
    parts = split(sites, test_every=3, train_share=0.6, rng=np.random.default_rng(0))
    assert (parts.test_cold.issued_us == parts.test.issued_us).all()
    known = {name: parts.test_cold.inputs[..., CHANNEL_NAMES.index(f"{name}_known")] for name in ("lag_1d", "lag_7d")}
    assert known["lag_7d"].max() == 0
    assert known["lag_1d"].mean() > 0.99
    # Scaled by two days and not by seven: another unit for the same future.
    assert (parts.test_cold.scale_w != parts.test.scale_w).any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_spoilt_histories_are_fit_for_a_forecast_and_of_every_kind(seed):
    known = spoilt(200, np.random.default_rng(seed))
    assert is_forecastable(known).all()
    is_whole = known.all(axis=-1)
    begins_late = ~known[:, 0] & ~is_whole
    assert 60 < is_whole.sum() < 170
    assert 10 < begins_late.sum() < 90


def test_a_young_site_knows_its_last_steps_alone():
    known = known_since(np.array([DAY_STEPS, HISTORY_STEPS, 10 * HISTORY_STEPS]))
    assert known.sum(axis=-1).tolist() == [DAY_STEPS, HISTORY_STEPS, HISTORY_STEPS]
    assert known[0, -DAY_STEPS:].all()


def test_windows_can_be_chosen_by_row(site):
    some = windows(
        site, 7, origins(HISTORY_STEPS, DAYS * DAY_STEPS), whole(len(origins(HISTORY_STEPS, DAYS * DAY_STEPS)))
    )
    chosen = some.where(np.array([2, 0]))
    assert len(chosen) == 2
    assert chosen.issued_us.tolist() == some.issued_us[[2, 0]].tolist()
    assert chosen.site.tolist() == [7, 7]
