"""Models of the bundle that ships, as the trainer would put them into a bundle again."""

from pathlib import Path

import numpy as np

import gateway
from cloud_trainer.bundle import BundledModel
from gateway.contract.forecast_spec import LOAD_SLOW
from gateway.contract.inputs import F32, Inputs
from gateway.contract.manifest import MANIFEST_NAME, decode_golden, decode_manifest, forecast_name

FACTORY = Path(gateway.__file__).parent / "factory"
# The smallest of them.
SPEC, NAME = LOAD_SLOW, forecast_name(LOAD_SLOW, "consumption_w")


def bundled() -> BundledModel:
    """The model `NAME`."""
    manifest = decode_manifest((FACTORY / MANIFEST_NAME).read_bytes())
    entry = next(one for one in manifest.models if one.name == NAME)
    golden = next(one for one in manifest.golden if one.model == NAME)
    return BundledModel(
        spec=SPEC,
        target="consumption_w",
        data=(FACTORY / entry.file).read_bytes(),
        form=entry.form,
        form_reason=entry.form_reason,
        operators=entry.operators,
        cases=decode_golden((FACTORY / golden.file).read_bytes()),
        tolerance=golden.tolerance,
    )


def golden_windows() -> tuple[Inputs, F32]:
    """The inputs of its golden vectors `[n, ...]`, and what they expect `[n, rows, quantiles]`."""
    cases = bundled().cases
    recent, steps = (np.array([case.inputs[number] for case in cases], dtype=np.float32) for number in (0, 1))
    said = np.array([case.output for case in cases], dtype=np.float32)
    return (
        Inputs(recent, steps.reshape(len(cases), SPEC.rows, -1)),
        said.reshape(len(cases), SPEC.rows, len(SPEC.quantiles)),
    )
