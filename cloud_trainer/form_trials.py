"""Each form of a model, tried where it will run: proven, compared with Keras, judged by the validation part. A shell.

Everything here is said by the production host and the production acceptance, never by TensorFlow: what ships is
what was judged.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloud_trainer.bundle import (
    GOLDEN_CASES,
    WORST_MAX,
    BundledModel,
    ProofError,
    golden_cases,
    golden_tolerance,
    prove,
    write_bundle,
)
from cloud_trainer.convert import Conversion, ConvertedFile
from cloud_trainer.examples import golden_rows
from cloud_trainer.form import FORMS, FormTrial, Wanted, choose_form
from cloud_trainer.host import Host, HostError
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F32, F64, Inputs
from gateway.contract.manifest import ForecastTarget, Training
from gateway.core.scores import pinball

_REHEARSAL = Training("rehearsal", "", 0, 0, {})


@dataclass(frozen=True, slots=True)
class Validation:
    """Windows of the validation part: inputs `[n, ...]`, and what came `[n, rows]`, scaled, NaN where unknown."""

    inputs: Inputs
    targets: F64


@dataclass(frozen=True, slots=True)
class Settled:
    """The model in the form it ships in, and how every form did."""

    model: BundledModel
    trials: list[FormTrial]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A trial, and what the golden vectors of that form may differ by."""

    trial: FormTrial
    tolerance: float = 0.0


def settle_form(
    conversion: Conversion,
    spec: ForecastSpec,
    target: ForecastTarget,
    validation: Validation,
    *,
    wanted: Wanted = "auto",
    pythons: Sequence[str] = (sys.executable,),
) -> Settled:
    """Try every form that was made and choose by the rule of `form`.

    Args:
        conversion: what the converter made.
        spec: what is forecast.
        target: of what.
        validation: what the forms are judged by.
        wanted: "auto", or the only form in question.
        pythons: interpreters with our gateway, one for each runtime that must run the model; the first judges.

    Raises:
        NoFormError: no form can be used, or not the wanted one.
    """
    golden = golden_rows(conversion.examples, GOLDEN_CASES)
    cases = golden_cases(Inputs(*(one[golden] for one in conversion.examples)), conversion.said[golden])

    def bundled(file: ConvertedFile, tolerance: float, reason: str) -> BundledModel:
        return BundledModel(spec, target, file.data, file.form, reason, file.operators, cases, tolerance)

    def tried(file: ConvertedFile) -> _Tried:
        return _try_form(bundled(file, WORST_MAX[file.form], ""), conversion, golden.tolist(), validation, pythons)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # they only wait for processes
        found = {one.trial.form: one for one in threads.map(tried, conversion.files.values())}
    refused = [FormTrial(form, problem=problem) for form, problem in conversion.problems.items()]
    trials = sorted([*(one.trial for one in found.values()), *refused], key=lambda trial: FORMS.index(trial.form))
    chosen, reason = choose_form(trials, wanted)
    file, tolerance = conversion.files[chosen.form], found[chosen.form].tolerance
    return Settled(bundled(file, tolerance, reason), trials)


def _try_form(
    model: BundledModel, conversion: Conversion, golden: list[int], validation: Validation, pythons: Sequence[str]
) -> _Tried:
    """One form in every runtime; trouble is a problem of the form."""
    size = len(model.data)
    worst = worst_golden = 0.0
    with tempfile.TemporaryDirectory(prefix="smartwatts-form-") as scratch:
        folder = Path(scratch)
        write_bundle(folder, [model], _REHEARSAL, "A rehearsal.\n", created_us=0)
        try:
            for python in pythons:
                prove(folder, any_cadence=True, python=python)
                with Host(folder, python=python) as host:
                    apart = np.abs(host.predict(model.name, conversion.examples) - conversion.said)
                    if python == pythons[0]:
                        loss = _pinball(model.spec, host.predict(model.name, validation.inputs), validation.targets)
                worst = max(worst, float(apart.max()))
                worst_golden = max(worst_golden, float(apart[golden].max()))
        except (ProofError, HostError) as error:
            return _Tried(FormTrial(model.form, size, problem=str(error)))
    problem = ""
    if worst > WORST_MAX[model.form]:
        problem = f"it differs from Keras by {worst:.2g}, more than {WORST_MAX[model.form]:g}"
    elif not np.isfinite(loss):
        problem = "the validation part knows nothing to judge it by"
    return _Tried(FormTrial(model.form, size, loss, worst, problem), golden_tolerance(model.form, worst_golden))


def _pinball(spec: ForecastSpec, said: F32, targets: F64) -> float:
    """In scaled units, quantiles put in order as `restore_w` does."""
    return pinball(np.sort(said.astype(np.float64), axis=-1), targets, spec.quantiles)
