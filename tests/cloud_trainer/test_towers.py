import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer import towers as module
from cloud_trainer.nlinear import Ridge
from cloud_trainer.towers import TAIL_STEPS, Forecaster, Towers, begun
from cloud_trainer.windows import windows
from gateway.contract.forecast_spec import load_spec
from gateway.contract.inputs import CHANNELS
from tests.sim.site_series import HOUR_US, HOURLY, rhythm

PEAK = load_spec(HOUR_US, 3)
PARTS = {spec: windows(spec, rhythm(12, spec), "consumption_w", np.arange(200, 206)) for spec in (HOURLY, PEAK)}
specs = st.sampled_from([HOURLY, PEAK])
weights = st.floats(0.0, 1.0)


def forecaster(spec, seed=1, weight=1.0, towers=2, width=3) -> Forecaster:
    """One that has learnt nothing, with biases that say something."""
    rng = np.random.default_rng(seed)
    line = Ridge(rng.normal(0, 0.1, (spec.recent_steps, spec.rows)), rng.normal(size=spec.rows), 0.1)
    made = begun(rng, towers, width, len(spec.quantiles))
    for bias in (made.enter_bias, made.within_bias, made.leave_bias):
        bias[:] = rng.normal(size=bias.shape)
    return Forecaster(spec, line, made, weight)


def said_slowly(one: Forecaster, window: int, row: int, weight: float) -> np.ndarray:
    """Number by number, as the design says it: towers apart, then their mean, then the blend."""
    windows_, towers = PARTS[one.spec], one.towers
    recent = windows_.recent[window].astype(np.float64)
    ridge = sum(recent[i] * one.ridge.weights[i, row] for i in range(len(recent))) + one.ridge.bias[row]
    seen = [*windows_.steps[window, row].astype(np.float64), ridge]
    tail = recent[-TAIL_STEPS:]
    voices = []
    for k in range(len(towers.enter)):
        entered = [
            max(
                sum(x * towers.enter[k, i, w] for i, x in enumerate(seen))
                + sum(x * towers.tail[k, i, w] for i, x in enumerate(tail))
                + towers.enter_bias[k, w],
                0.0,
            )
            for w in range(towers.enter.shape[-1])
        ]
        hidden = [
            entered[v]
            + max(sum(x * towers.within[k, w, v] for w, x in enumerate(entered)) + towers.within_bias[k, v], 0.0)
            for v in range(len(entered))
        ]
        voices.append(
            [
                sum(x * towers.leave[k, w, q] for w, x in enumerate(hidden))
                + towers.leave_bias[k, q]
                + sum(x * towers.straight[k, i, q] for i, x in enumerate(seen))
                for q in range(len(one.spec.quantiles))
            ]
        )
    mean = np.mean(voices, axis=0)
    return mean - (1 - weight) * (mean[one.spec.median] - ridge)


@given(specs, st.integers(0, 99), weights, st.integers(0, 5), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_with_any_weight_it_says_what_the_design_says_number_by_number(spec, seed, weight, window, row):
    one = forecaster(spec, seed, weight)
    slow = said_slowly(one, window, row, weight)
    np.testing.assert_allclose(one.predict(PARTS[spec])[window, row], slow, rtol=1e-4, atol=1e-4)


@given(specs, st.integers(0, 99), weights)
@settings(max_examples=25, deadline=None)
def test_a_weight_moves_every_quantile_as_far_as_it_moves_the_median(spec, seed, weight):
    one = forecaster(spec, seed)
    alone, blended = one.predict(PARTS[spec]), one.blended(weight).predict(PARTS[spec])
    moved = blended - alone
    np.testing.assert_allclose(moved, np.repeat(moved[..., :1], len(spec.quantiles), axis=-1), atol=1e-4)
    line = one.ridge.predict(PARTS[spec].recent)
    wanted = weight * alone[..., spec.median] + (1 - weight) * line
    np.testing.assert_allclose(blended[..., spec.median], wanted, atol=1e-4)


@pytest.mark.parametrize("spec", [HOURLY, PEAK])
def test_without_weight_its_median_is_the_ridges(spec):
    one = forecaster(spec).blended(0.0)
    line = one.ridge.predict(PARTS[spec].recent)
    np.testing.assert_allclose(one.predict(PARTS[spec])[..., spec.median], line, atol=1e-5)


def test_chunks_change_nothing(monkeypatch):
    one = forecaster(HOURLY)
    whole = one.predict(PARTS[HOURLY])
    monkeypatch.setattr(module, "_CHUNK_WINDOWS", 4)
    np.testing.assert_allclose(one.predict(PARTS[HOURLY]), whole, atol=1e-6)


def test_what_it_says_of_a_window_does_not_depend_on_the_others():
    one = forecaster(PEAK)
    some = PARTS[PEAK]
    np.testing.assert_allclose(one.predict(some.where(slice(2, 3))), one.predict(some)[2:3], atol=1e-6)
    assert one.predict(some.where(slice(0))).shape == (0, PEAK.rows, 4)


def test_the_same_generator_begins_the_same_towers_and_each_tower_differs():
    one, same = (begun(np.random.default_rng(3), 2, 5, 3) for _ in range(2))
    for name in Towers.__dataclass_fields__:
        assert getattr(one, name).tobytes() == getattr(same, name).tobytes()
        assert getattr(one, name).dtype == np.float32
    assert not np.array_equal(one.enter[0], one.enter[1])
    inputs = CHANNELS + 1
    assert one.parameters == 2 * ((inputs + 1 + TAIL_STEPS) * 5 + (5 + 1) * 5 + (5 + 1) * 3 + inputs * 3)
    assert np.abs(one.enter).max() <= np.sqrt(6 / (inputs + 5))
