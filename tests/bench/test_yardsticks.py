import numpy as np
import pytest

from tests.bench import yardsticks
from tests.bench.yardsticks import StepRows, lightgbm_median


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setitem(yardsticks.SETTINGS, "num_threads", 1)  # a second one costs more than so few rows


def stepped_windows(windows: int, seed: int) -> StepRows:
    """Targets that no linear map finds: a product of two features; the third is noise."""
    steps = np.random.default_rng(seed).normal(size=(windows, 4, 3)).astype(np.float32)
    return StepRows(steps, steps[..., 0] * steps[..., 1])


def test_trees_learn_what_a_linear_map_cannot(monkeypatch):
    monkeypatch.setitem(yardsticks.SETTINGS, "learning_rate", 0.3)
    monkeypatch.setattr(yardsticks, "TREES_MAX", 40)
    train, validation, test = (stepped_windows(n, seed) for seed, n in enumerate((1500, 300, 300)))
    said = lightgbm_median(train, validation, test.steps)
    assert said.shape == test.targets.shape
    assert np.abs(said - test.targets).mean() < 0.35 * np.abs(test.targets).mean()


def test_the_same_seed_says_the_same_and_unknown_targets_are_left_out(monkeypatch):
    monkeypatch.setattr(yardsticks, "TRAIN_ROWS_MAX", 500)
    monkeypatch.setattr(yardsticks, "TREES_MAX", 10)
    train, validation = stepped_windows(300, 0), stepped_windows(100, 1)
    train.targets[::3] = np.nan
    said = [lightgbm_median(train, validation, validation.steps, seed) for seed in (5, 5, 6)]
    assert np.isfinite(said[0]).all()
    np.testing.assert_array_equal(said[0], said[1])
    assert (said[0] != said[2]).any()
