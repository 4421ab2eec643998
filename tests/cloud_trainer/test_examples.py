import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.examples import examples, golden_rows, rounded
from gateway.contract.inputs import CHANNEL_NAMES, CHANNELS, Inputs

KNOWN = CHANNEL_NAMES.index("lag_7d_known")


def windows(count, seed=1, gaps=0.0):
    """`count` windows, their issue instants and spreads; a share of them with gaps."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((count, 5, CHANNELS)).astype(np.float32)
    steps[..., [at for at, name in enumerate(CHANNEL_NAMES) if name.endswith("_known")]] = 1
    steps[: int(count * gaps), 0, KNOWN] = 0
    recent = rng.standard_normal((count, 96)).astype(np.float32)
    return Inputs(recent, steps), np.arange(count, dtype=np.int64) * 900_000_000, rng.uniform(50, 5000, count)


def test_examples_meet_all_seasons_levels_and_the_extremes():
    inputs, issued_us, scale_w = windows(4000)
    inputs.recent[1234, 5] = 99.0
    inputs.recent[:, 0] = issued_us / issued_us[-1]
    inputs.recent[:, 1] = scale_w / scale_w.max()
    chosen = examples(inputs, issued_us, scale_w, 200)
    assert 190 <= len(chosen.recent) <= 200
    for column in (0, 1):
        shares, _ = np.histogram(chosen.recent[:, column], bins=10, range=(0, 1))
        assert shares.min() > 8
    assert chosen.recent.max() == 99.0


@settings(deadline=None)
@given(count=st.integers(0, 40), wanted=st.integers(1, 40))
def test_there_are_never_more_than_wanted_and_all_where_there_are_few(count, wanted):
    inputs, issued_us, scale_w = windows(count)
    chosen = examples(inputs, issued_us, scale_w, wanted)
    assert len(chosen.recent) == len(chosen.steps) <= wanted
    if count:
        assert len(chosen.recent) >= 1


@settings(deadline=None)
@given(count=st.integers(0, 30), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), wanted=st.integers(1, 8))
def test_golden_rows_are_as_many_as_wanted_and_some_have_gaps_where_any_has(count, share, wanted):
    inputs, _, _ = windows(count, gaps=share)
    rows = golden_rows(inputs, wanted)
    assert len(rows) == len(set(rows)) == min(count, wanted)
    if wanted >= 4 and int(count * share):
        assert (inputs.steps[rows][:, 0, KNOWN] == 0).any()


def test_rounded_numbers_are_short_and_stay_what_they_are():
    inputs, _, _ = windows(3)
    short = rounded(inputs)
    assert np.abs(short.recent - inputs.recent).max() <= 0.0006
    assert (rounded(short).steps == short.steps).all()
    assert short.recent.dtype == np.float32
