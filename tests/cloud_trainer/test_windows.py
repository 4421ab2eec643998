from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer import windows as module
from cloud_trainer.windows import Windows, joined, none, origins, windows
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW, load_spec
from gateway.contract.inputs import Inputs, restore_w, scale_history
from gateway.core.track import Track
from gateway.core.window import Window
from tests.sim.site_series import HOUR_US, HOURLY, rhythm

# A peak, and few steps: fast.
HOURLY_PEAK = load_spec(HOUR_US, 4)
specs = st.sampled_from([HOURLY, HOURLY_PEAK])
seeds = st.integers(0, 2**32 - 1)


def gappy(days, spec=HOURLY, seed=1):
    """A site of which one step in twenty is unknown."""
    site = rhythm(days, spec, seed=seed)
    unknown = np.random.default_rng(seed).random(len(site)) < 0.05
    return replace(site, consumption_w=np.where(unknown, np.nan, site.consumption_w))


def same(one, other, but=()):
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name), equal_nan=True)
        for field in fields(Windows)
        if field.name not in but
    )


@given(specs, seeds, st.integers(24, 40 * 24))
@settings(max_examples=30, deadline=None)
def test_what_comes_at_or_after_the_issue_changes_no_input(spec, seed, origin):
    site = gappy(42, spec, seed)
    other = rhythm(42, spec, seed=seed + 1, noise=5.0).consumption_w
    changed = np.concatenate([site.consumption_w[:origin], other[origin:]])
    at = np.array([origin])
    one = windows(spec, site, "consumption_w", at)
    two = windows(spec, replace(site, consumption_w=changed), "consumption_w", at)
    assert same(one, two, but=("targets", "actual_w"))
    assert not len(one) or not np.array_equal(one.targets, two.targets, equal_nan=True)


@pytest.mark.parametrize("spec", [ENERGY, LOAD_SLOW, HOURLY])
def test_one_window_is_what_the_device_makes_of_the_same_readings(spec):
    site = gappy(33, spec)
    device = Window(step_us=spec.step_us, steps=spec.history_steps, polls_per_step=1)
    track = Track(spec, "consumption_w", site.zone)
    asked = np.arange(30 * spec.day_steps, 30 * spec.day_steps + 24)
    trained = windows(spec, site, "consumption_w", asked)
    row = told = 0
    for origin in asked:
        for at_us, power_w in zip(site.at_us()[told:origin], site.consumption_w[told:origin], strict=True):
            device.add(int(at_us), None if np.isnan(power_w) else power_w, 1)
        told = origin
        past = track.past(*device.history(), device.end_us)
        made = track.question(past)
        if made is None:
            continue
        assert trained.issued_us[row] == past.issued_us
        assert made.recent[0].tobytes() == trained.recent[row].tobytes()
        assert made.steps[0].tobytes() == trained.steps[row].tobytes()
        said = np.repeat(trained.targets[row][:, np.newaxis], len(spec.quantiles), axis=1)
        said_w = restore_w(said, scale_history(past.power_w, past.known))
        np.testing.assert_allclose(said_w[:, 0], trained.actual_w[row], atol=1e-3)
        row += 1
    assert row == len(trained) > 0


def test_targets_are_what_came_and_what_nobody_measured_is_unknown():
    site = rhythm(20, HOURLY_PEAK)
    site.consumption_w[300] = np.nan
    at = np.array([295, 296, 297, 299, 302])
    some = windows(HOURLY_PEAK, site, "consumption_w", at)
    for row, origin in enumerate(at):
        came_w = site.consumption_w[origin : origin + 4]
        np.testing.assert_array_equal(some.actual_w[row, :4], came_w)
        np.testing.assert_array_equal(some.actual_w[row, 4], came_w.max())
    assert np.isnan(some.targets[2:4, 4]).all()
    assert np.isfinite(some.targets[:2]).all()
    # a day later the step is a lag that is unknown
    later = windows(HOURLY_PEAK, site, "consumption_w", np.array([322]))
    np.testing.assert_array_equal(later.channel("lag_1d_known")[0], [1, 1, 0, 1, 0])


def test_a_window_is_left_out_where_a_gateway_would_not_ask():
    site = rhythm(20)
    site.consumption_w[200:206] = np.nan
    at = np.arange(190, 240)
    some = windows(HOURLY, site, "consumption_w", at)
    asked = (some.issued_us - site.start_us) // HOUR_US
    # more than a tenth of the last day, or the last step
    silent = [one for one in at if 200 < one <= 206 or np.isnan(site.consumption_w[one - 24 : one]).sum() > 2]
    np.testing.assert_array_equal(asked, np.setdiff1d(at, silent))
    assert len(windows(HOURLY, site, "consumption_w", np.array([0, 10]))) == 0


@given(seeds, st.floats(0.5, 30.0))
@settings(max_examples=20, deadline=None)
def test_few_days_of_history_are_as_at_a_site_that_is_new(seed, days):
    site, origin = gappy(32, seed=seed), 30 * 24
    limited = windows(HOURLY, site, "consumption_w", np.array([origin]), history_days=np.array([days]))
    new = site.consumption_w.copy()
    new[: max(origin - int(days * 24), 0)] = np.nan
    assert same(limited, windows(HOURLY, replace(site, consumption_w=new), "consumption_w", np.array([origin])))


def test_chunks_change_nothing(monkeypatch):
    site = gappy(32)
    at = np.arange(24, 31 * 24, 7)
    days = np.linspace(1, 40, len(at))
    whole = windows(HOURLY, site, "consumption_w", at, number=3, history_days=days)
    monkeypatch.setattr(module, "CHUNK_WINDOWS", 11)
    assert same(whole, windows(HOURLY, site, "consumption_w", at, number=3, history_days=days))
    assert set(whole.site) == {3}


def test_production_is_a_target_of_its_own():
    site = rhythm(10, solar=True)
    some = windows(HOURLY, site, "production_w", np.array([200]))
    np.testing.assert_array_equal(some.actual_w[0], site.production_w[200:224])


def test_windows_are_joined_and_chosen():
    site = gappy(12)
    first, second = (windows(HOURLY, site, "consumption_w", np.arange(*ends)) for ends in ((100, 130), (150, 170)))
    both = joined([first, none(HOURLY), second])
    assert len(both) == len(first) + len(second)
    assert same(both.where(slice(None, len(first))), first)
    assert same(both.where(np.arange(len(both)) >= len(first)), second)
    assert same(windows(HOURLY, site, "consumption_w", np.arange(0)), none(HOURLY))


def test_quantiles_are_restored_as_medians_are():
    some = windows(HOURLY, gappy(12), "consumption_w", np.arange(100, 120))
    both = some.restored(np.stack([some.targets, some.targets], axis=-1))
    np.testing.assert_array_equal(both[..., 1], some.restored(some.targets))
    np.testing.assert_allclose(both[..., 1], some.actual_w, atol=1e-3)


@given(st.integers(0, 500), st.integers(0, 2_000), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_origins_are_even_and_within_bounds(first, end, most):
    found = origins(HOURLY, first, end, most)
    room = max(end - HOURLY.horizon_steps + 1 - first, 0)
    assert len(found) == min(room, most)
    if len(found) > 1:
        assert found[0] == first
        assert found[-1] + HOURLY.horizon_steps == end
        assert np.diff(found).min() >= 1
        assert np.ptp(np.diff(found)) <= 1


def test_all_hours_of_the_day_come_up():
    assert set(origins(ENERGY, 0, 96 * 365, 3_000) % 96) == set(range(96))


def test_inputs_are_named_as_the_contract_names_them():
    assert [field.name for field in fields(Windows)][:2] == list(Inputs._fields)
