import pytest

from cloud_trainer.artefact import inputs_of, settle
from cloud_trainer.bundle import prove, write_bundle
from gateway.contract.inputs import Inputs
from gateway.contract.manifest import Training
from gateway.shell.accept import OPERATORS_ALLOWED
from tests.sim.trained import CONFIG, once_more, settled, trained

pytestmark = [pytest.mark.tf, pytest.mark.slow]


def test_what_is_settled_on_is_accepted_in_each_form_and_uses_operators_that_are_allowed(tmp_path):
    found = settled()
    assert [trial.form for trial in found.trials] == ["float32", "float16", "int8"]
    assert [trial.problem for trial in found.trials if trial.form != "int8"] == ["", ""]
    model = found.model
    assert (model.spec, model.target) == (CONFIG.spec, CONFIG.target)
    assert set(model.operators) <= OPERATORS_ALLOWED
    assert model.form in model.form_reason
    write_bundle(tmp_path, [model], Training("a test", "a made-up site", 0, 1, {}), "# A card\n", created_us=5)
    verdict = prove(tmp_path, any_cadence=True)
    assert verdict.ok
    assert verdict.worst_difference <= model.tolerance


def test_the_same_seed_twice_gives_byte_equal_artefacts():
    model = settled().model
    again = settle(once_more(), wanted=model.form).model
    assert again.data == model.data
    assert again.cases == model.cases


def test_inputs_of_windows_are_their_tensors():
    some = trained().data.test.where(slice(3))
    made = inputs_of(some)
    assert isinstance(made, Inputs)
    assert (made.recent is some.recent, made.steps is some.steps) == (True, True)
