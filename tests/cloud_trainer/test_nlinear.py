"""The linear forecaster against numpy's own least squares, with gaps, and under a change of unit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer import nlinear
from cloud_trainer.nlinear import (
    Moments,
    Ridge,
    Windows,
    factors,
    mean_squared_error,
    reduced,
    reduced_by_validation,
    ridge,
    ridge_path,
)

INPUTS, OUTPUTS = 6, 4


def noisy_windows(rows: int, seed: int = 0, noise: float = 0.1) -> Windows:
    """Targets that are a fixed linear map of the inputs, a level and noise."""
    rng, truth = np.random.default_rng(seed), np.random.default_rng(99)
    recent = rng.normal(1.5, 1.0, (rows, INPUTS))
    targets = recent @ truth.normal(size=(INPUTS, OUTPUTS)) + 2.0 + noise * rng.normal(size=(rows, OUTPUTS))
    return Windows(recent, targets)


def least_squares(recent, targets) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias by QR instead of by sums."""
    solution = np.linalg.lstsq(np.column_stack([recent, np.ones(len(recent))]), targets, rcond=None)[0]
    return solution[:-1], solution[-1]


def test_without_a_penalty_it_is_the_least_squares_of_numpy():
    windows = noisy_windows(200)
    fit = ridge(*windows, [0.0], windows)
    weights, bias = least_squares(*windows)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-10)
    np.testing.assert_allclose(fit.bias, bias, atol=1e-10)


def test_with_a_penalty_it_is_least_squares_with_rows_that_pull_to_zero():
    windows, lam = noisy_windows(200), 0.3
    centred = windows.recent - windows.recent.mean(axis=0)
    pull = np.sqrt(lam * centred.var() * 200) * np.eye(INPUTS)
    stacked = np.vstack([centred, pull])
    targets = np.vstack([windows.targets - windows.targets.mean(axis=0), np.zeros((INPUTS, OUTPUTS))])
    fit = ridge(*windows, [lam], windows)
    np.testing.assert_allclose(fit.weights, np.linalg.lstsq(stacked, targets, rcond=None)[0], atol=1e-10)
    np.testing.assert_allclose(fit.predict(windows.recent).mean(axis=0), windows.targets.mean(axis=0))


def test_blocks_change_nothing(monkeypatch):
    windows = noisy_windows(100)
    whole = ridge(*windows, [0.1], windows)
    monkeypatch.setattr(nlinear, "BLOCK_ROWS", 7)
    blocks = ridge(*windows, [0.1], windows)
    np.testing.assert_allclose(blocks.weights, whole.weights, atol=1e-12)
    np.testing.assert_allclose(blocks.predict(windows.recent), whole.predict(windows.recent), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.0, 0.6), seed=st.integers(0, 1000))
def test_an_output_is_fitted_on_the_windows_whose_target_it_knows(share, seed):
    windows = noisy_windows(150)
    unknown = np.random.default_rng(seed).random(windows.targets.shape) < share
    fit = ridge(windows.recent, np.where(unknown, np.nan, windows.targets), [0.0], windows)
    for output in range(OUTPUTS):
        known = ~unknown[:, output]
        weights, bias = least_squares(windows.recent[known], windows.targets[known, output])
        np.testing.assert_allclose(fit.weights[:, output], weights, atol=1e-8)
        assert fit.bias[output] == pytest.approx(bias, abs=1e-8)


def test_an_output_that_nobody_knows_is_the_last_value():
    windows = noisy_windows(50)
    windows.targets[:, 1] = np.nan
    fit = ridge(*windows, [0.1], windows)
    assert not fit.weights[:, 1].any()
    assert fit.bias[1] == 0
    assert fit.weights[:, 0].any()


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(1e-3, 1e3), lam=st.sampled_from([0.0, 1e-3, 1.0]))
def test_scaling_the_series_scales_the_forecast(factor, lam):
    recent, targets = noisy_windows(80)
    plain = ridge(recent, targets, [lam], Windows(recent, targets))
    scaled = ridge(recent * factor, targets * factor, [lam], Windows(recent * factor, targets * factor))
    np.testing.assert_allclose(scaled.predict(recent * factor), plain.predict(recent) * factor, rtol=1e-8)


def test_the_same_windows_twice_are_the_same_map():
    windows = noisy_windows(80)
    once, twice = Moments.of(windows), Moments.of(windows) + Moments.of(windows)
    np.testing.assert_allclose(twice.solve(0.1).weights, once.solve(0.1).weights)


def test_validation_chooses_the_penalty():
    few = noisy_windows(20, noise=2.0)
    later = noisy_windows(400, seed=1, noise=2.0)
    lambdas = [0.0, 0.1, 1.0, 1e6]
    chosen = ridge(*few, lambdas, later)
    errors = [mean_squared_error(one.predict(later.recent), later.targets) for one in ridge_path(few, lambdas)]
    assert chosen.lam == lambdas[int(np.argmin(errors))]
    assert 0 < chosen.lam < 1e6


@pytest.mark.parametrize("lam", [0.0, 1e-3])
def test_the_subtracted_last_value_bears_no_weight(lam):
    recent, targets = noisy_windows(60)
    recent[:, -1] = 0.0
    fit = ridge(recent, targets, [lam], Windows(recent, targets))
    np.testing.assert_allclose(fit.weights[-1], 0.0, atol=1e-12)
    assert np.isfinite(fit.weights).all()


def test_a_series_that_stands_still_is_forecast_to_stand_still():
    fit = ridge(
        np.zeros((30, INPUTS)),
        np.zeros((30, OUTPUTS)),
        [1e-3],
        Windows(np.zeros((1, INPUTS)), np.zeros((1, OUTPUTS))),
    )
    assert not fit.predict(np.zeros((2, INPUTS))).any()


def test_the_error_looks_at_known_targets_alone():
    assert mean_squared_error(np.array([[1.0, 5.0]]), np.array([[3.0, np.nan]])) == 4.0
    assert mean_squared_error(np.array([[1.0]]), np.array([[np.nan]])) == np.inf


def test_a_reduced_map_of_full_rank_says_the_same():
    rng = np.random.default_rng(3)
    recent = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12))
    line = ridge(recent, recent @ rng.normal(size=(12, 5)), (1e-3,), Windows(recent, recent[:, :5]))
    assert reduced(line, recent, 5).predict(recent) == pytest.approx(line.predict(recent), abs=1e-6)


def test_what_moves_in_two_ways_passes_through_two_numbers():
    rng = np.random.default_rng(4)
    recent = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 20)) + 1e-3 * rng.normal(size=(600, 20))
    targets = recent @ rng.normal(size=(20, 9))
    line = ridge(recent, targets, (1e-6,), Windows(recent, targets))
    narrow = reduced(line, recent, 2)
    assert np.linalg.matrix_rank(narrow.weights) == 2
    assert mean_squared_error(narrow.predict(recent), targets) < 0.01 * targets.var()


def test_the_factors_of_a_narrow_map_make_it_and_a_wide_one_has_none():
    rng = np.random.default_rng(5)
    wide = Ridge(rng.normal(size=(30, 10)), np.zeros(10), 0.1)
    assert factors(wide) is None
    narrow = Ridge(rng.normal(size=(30, 3)) @ rng.normal(size=(3, 10)), np.zeros(10), 0.1)
    down, up = factors(narrow)
    assert (down.shape, up.shape) == ((30, 3), (3, 10))
    assert down @ up == pytest.approx(narrow.weights)


def test_a_map_is_narrowed_as_far_as_validation_allows():
    rng = np.random.default_rng(6)
    recent = rng.normal(size=(900, 3)) @ rng.normal(size=(3, 60)) + 1e-3 * rng.normal(size=(900, 60))
    targets = recent @ rng.normal(size=(60, 40)) + 0.1 * rng.normal(size=(900, 40))
    line = ridge(recent[:600], targets[:600], (1e-3,), Windows(recent[600:], targets[600:]))
    narrow = reduced_by_validation(line, recent[:600], Windows(recent[600:], targets[600:]))
    assert np.linalg.matrix_rank(narrow.weights) == 4


def test_a_map_over_inputs_that_never_move_stays_as_it_is():
    line = Ridge(np.zeros((30, 10)), np.ones(10), 0.1)
    assert reduced(line, np.zeros((50, 30)), 4) is line
