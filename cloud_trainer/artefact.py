"""From what was trained to what ships: converted, tried in the production host, and settled on a form. A shell."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cloud_trainer.convert import convert
from cloud_trainer.examples import examples
from cloud_trainer.form import FORMS, Wanted
from cloud_trainer.form_trials import Settled, Validation, settle_form
from cloud_trainer.train import Trained
from cloud_trainer.windows import Windows
from gateway.contract.inputs import Inputs

# Windows that the forms are judged by: enough to tell a tenth of a percent, and seconds to ask.
_JUDGING_MAX = 1_500


def settle(trained: Trained, *, wanted: Wanted = "auto", pythons: Sequence[str] = ()) -> Settled:
    """The artefact of a forecaster that is worth shipping, in the form that the rule chooses.

    Raises:
        ConversionError: the converter failed in every form.
        NoFormError: no form can be used, or not the wanted one.
    """
    from cloud_trainer.graph import graph  # TensorFlow

    forecaster, config = trained.forecaster, trained.config
    assert forecaster is not None, "nothing was chosen"
    train, validation = trained.data.train, trained.data.validation
    with tempfile.TemporaryDirectory(prefix="smartwatts-artefact-") as scratch:
        model = Path(scratch) / "model.keras"
        graph(forecaster).save(model)
        shown = examples(inputs_of(train), train.issued_us, train.scale_w)
        conversion = convert(model, shown, FORMS if wanted == "auto" else ("float32", wanted))
    every = max(1, len(validation) // _JUDGING_MAX)
    judging = validation.where(slice(None, None, every))
    asked = Validation(inputs_of(judging), judging.targets.astype("float64"))
    more = {"pythons": pythons} if pythons else {}
    return settle_form(conversion, config.spec, config.target, asked, wanted=wanted, **more)


def inputs_of(windows: Windows) -> Inputs:
    """The tensors of the windows."""
    return Inputs(windows.recent, windows.steps)
