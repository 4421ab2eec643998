from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.bundle import prove, write_bundle
from cloud_trainer.convert import Conversion, ConvertedFile
from cloud_trainer.form import NoFormError
from cloud_trainer.form_trials import Validation, settle_form
from cloud_trainer.host import Host
from gateway.contract.inputs import Inputs
from gateway.contract.manifest import Training
from tests.sim.bundled import FACTORY, NAME, SPEC, bundled, golden_windows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made():
    """A conversion of which all forms are the same file, Keras agrees, and the validation part is near it."""
    golden, _ = golden_windows()
    rows = np.arange(200) % len(golden.recent)
    examples = Inputs(*(tensor[rows] for tensor in golden))
    with Host(FACTORY) as host:
        said = host.predict(NAME, examples)
    model = bundled()
    files = {form: ConvertedFile(form, model.data, model.operators) for form in ("float32", "int8")}
    targets = said[..., SPEC.median].astype(np.float64) + 0.1
    targets[0, 0] = np.nan
    conversion = Conversion(files, {"float16": "the converter ended with -11"}, 2000, examples, said)
    return conversion, Validation(examples, targets)


def test_every_form_is_tried_and_the_chosen_one_makes_a_bundle_that_is_accepted(made, tmp_path):
    conversion, validation = made
    settled = settle_form(conversion, SPEC, "consumption_w", validation)
    assert [trial.form for trial in settled.trials] == ["float32", "float16", "int8"]
    assert [trial.problem for trial in settled.trials] == ["", "the converter ended with -11", ""]
    assert settled.trials[0].pinball == settled.trials[2].pinball > 0
    assert settled.trials[0].worst_difference == 0
    assert settled.model.form == "float32"
    assert settled.model.form_reason.startswith("float32 (")
    assert len(settled.model.cases) == 4
    training = Training("a test", "golden windows", 0, 1, {})
    write_bundle(tmp_path, [settled.model], training, "# A card\n", created_us=5)
    assert prove(tmp_path).ok


def test_a_form_that_differs_from_keras_is_out_of_the_question(made):
    conversion, validation = made
    wrong = conversion.said.copy()
    wrong[160:] += 0.6  # not one of those that travel
    with pytest.raises(NoFormError, match=r"it differs from Keras by 0\.6"):
        settle_form(replace(conversion, said=wrong), SPEC, "consumption_w", validation)


def test_a_file_that_no_runtime_loads_is_out_of_the_question(made):
    conversion, validation = made
    files = conversion.files | {"int8": ConvertedFile("int8", b"nonsense", ["ADD"])}
    settled = settle_form(replace(conversion, files=files), SPEC, "consumption_w", validation)
    assert settled.trials[2].problem.startswith("the acceptance refuses the bundle")
    with pytest.raises(NoFormError, match="int8 was asked for and cannot be used"):
        settle_form(replace(conversion, files=files), SPEC, "consumption_w", validation, wanted="int8")


def test_a_validation_part_that_knows_nothing_judges_nothing(made):
    conversion, validation = made
    nothing = replace(validation, targets=np.full_like(validation.targets, np.nan))
    with pytest.raises(NoFormError, match="knows nothing to judge it by"):
        settle_form(conversion, SPEC, "consumption_w", nothing)
