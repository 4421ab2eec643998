import numpy as np

from cloud_trainer.gaps import runs


def test_stretches_are_found_at_both_ends_and_in_between():
    found = runs(np.array([True, False, True, True, False, True]))
    assert list(zip(found.first, found.end, strict=True)) == [(0, 1), (2, 4), (5, 6)]
    assert list(found.steps) == [1, 2, 1]
    assert len(runs(np.zeros(3, dtype=bool)).first) == 0
