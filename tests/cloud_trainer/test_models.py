import numpy as np
import pytest

from cloud_trainer import evaluate
from gateway.contract.inputs import CHANNELS, HORIZON_STEPS, QUANTILES

pytestmark = pytest.mark.tf


def test_the_forecaster_is_small_and_of_the_contracts_shape():
    from cloud_trainer.models import step_mlp

    model = step_mlp(batch=1)
    assert model.input_shape == (1, HORIZON_STEPS, CHANNELS)
    assert model.output_shape == (1, HORIZON_STEPS, len(QUANTILES))
    assert model.count_params() < 10_000


def test_a_step_is_forecast_from_its_own_row_alone():
    from cloud_trainer.models import step_mlp

    model = step_mlp()
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1, HORIZON_STEPS, CHANNELS)).astype(np.float32)
    other = inputs.copy()
    other[0, 40] += 1
    changed = (model(inputs).numpy() != model(other).numpy()).any(axis=-1)[0]
    assert np.flatnonzero(changed).tolist() == [40]


def test_what_is_minimised_is_what_is_reported():
    from cloud_trainer.models import pinball

    rng = np.random.default_rng(1)
    target = rng.normal(size=(4, HORIZON_STEPS)).astype(np.float32)
    output = rng.normal(size=(4, HORIZON_STEPS, 3)).astype(np.float32)
    assert float(pinball(target, output)) == pytest.approx(evaluate.pinball(target, output), rel=1e-5)
