from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.nlinear import Ridge
from cloud_trainer.towers import Forecaster, begun
from cloud_trainer.windows import windows
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW
from gateway.contract.manifest import forecast_inputs
from tests.sim.site_series import rhythm

pytestmark = pytest.mark.tf


@pytest.mark.parametrize(("spec", "rank", "weight"), [(ENERGY, 4, 0.6), (LOAD_SLOW, None, 1.0)])
def test_keras_says_what_the_forecaster_says(spec, rank, weight):
    from cloud_trainer.graph import graph

    rng = np.random.default_rng(1)
    mapped = rng.normal(0, 0.05, (spec.recent_steps, spec.rows))
    if rank:
        mapped = rng.normal(0, 0.1, (spec.recent_steps, rank)) @ rng.normal(0, 0.1, (rank, spec.rows))
    towers = begun(rng, 2, 6, len(spec.quantiles))
    towers = replace(towers, enter_bias=rng.normal(size=towers.enter_bias.shape).astype(np.float32))
    one = Forecaster(spec, Ridge(mapped, rng.normal(size=spec.rows), 0.1), towers, weight)
    some = windows(spec, rhythm(9, spec), "consumption_w", np.arange(7 * spec.day_steps, 7 * spec.day_steps + 12))
    model = graph(one)
    said = model([some.recent, some.steps], training=False).numpy()
    np.testing.assert_allclose(said, one.predict(some), atol=1e-4)
    assert [tensor.name for tensor in model.inputs] == [tensor.name for tensor in forecast_inputs(spec)]
    assert [[1, *tensor.shape[1:]] for tensor in model.inputs] == [tensor.shape for tensor in forecast_inputs(spec)]
    narrow = sum(layer.name == "ridge_narrow" for layer in model.layers)
    assert narrow == (1 if rank else 0)
    assert model.count_params() < mapped.size + towers.parameters + 2 * spec.recent_steps
