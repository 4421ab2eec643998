import numpy as np
import pytest

from cloud_trainer.suspects import CHOICES_MAX, is_all_but_some

EXACT = {"rtol": 1e-6, "atol": 0.1}


def summary(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(values.mean()), "minimum": float(values.min()), "maximum": float(values.max())}


@pytest.mark.parametrize("size", [5, 60, 600])
def test_what_is_left_out_may_be_anywhere(size: int):
    values = np.random.default_rng(1).uniform(0, 1000, size)
    for keep in (1, size // 2, size - 2, size - 1):
        kept = np.random.default_rng(keep).choice(values, keep, replace=False)
        assert is_all_but_some(values, keep, summary(kept), **EXACT)


@pytest.mark.parametrize("column", ["mean", "minimum", "maximum"])
@pytest.mark.parametrize("size", [5, 600])
def test_what_was_never_given_out_does_not_fit(size: int, column: str):
    values = np.random.default_rng(1).uniform(0, 1000, size)
    row = summary(values[:-1]) | {column: 2000.0}
    assert not is_all_but_some(values, size - 1, row, **EXACT)


@pytest.mark.parametrize("count", [0, 5, 6])
def test_a_row_of_nothing_or_of_everything_leaves_nothing_out(count: int):
    values = np.arange(5.0)
    assert not is_all_but_some(values, count, summary(values), **EXACT)


def test_the_choices_that_are_tried_are_few():
    assert CHOICES_MAX < 10_000
