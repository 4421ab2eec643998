"""Noise is a table nobody has to store: same place, same number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.noise import Noise, stream_root, uniform_at


@given(st.integers(0, 2**63 - 1), st.integers(0, 5), st.integers(-(2**40), 2**40))
def test_one_number_equals_the_same_number_of_an_array(seed, stream, bucket):
    buckets = np.full((6, 3), bucket, dtype=np.int64)
    assert np.all(Noise(seed, 6).uniform(buckets)[stream] == uniform_at(stream_root(seed, stream), bucket))


def test_streams_are_uniform_and_independent():
    drawn = Noise(1, 2).uniform(np.tile(np.arange(20_000), (2, 1)))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert np.all(np.abs(drawn.mean(axis=1) - 0.5) < 0.01)
    assert np.all(np.abs(drawn.std(axis=1) - 12**-0.5) < 0.01)
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.03
    assert abs(np.corrcoef(drawn[0, :-1], drawn[0, 1:])[0, 1]) < 0.03


def test_smooth_chance_meets_its_draws_and_makes_no_step_between():
    noise, periods_s = Noise(3, 2), np.array([100, 60])
    ends = noise.smooth(np.array([0, 300]), periods_s)
    assert ends[0].tolist() == noise.uniform(np.array([[0, 3], [0, 5]]))[0].tolist()
    curve = noise.smooth(np.arange(600), periods_s)
    assert np.abs(np.diff(curve, axis=1)).max() < 0.03
    assert curve.min() >= 0
    assert curve.max() < 1
