"""Trained models become a bundle: model files, golden vectors, model card, manifest; and it is proven.

What the golden vectors expect is what Keras said: the cold check then proves conversion, runtime and bundle
in one go. Nothing here needs TensorFlow.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F32, Inputs, input_digest
from gateway.contract.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    ForecastTarget,
    ForecastTask,
    Form,
    GoldenCase,
    GoldenVectors,
    ModelEntry,
    Training,
    bundle_digest,
    encode_manifest,
    forecast_inputs,
    forecast_name,
    forecast_output,
)

CARD_NAME = "model_card.md"
# Cases of each model that travel with the bundle: 25 kB each for a day ahead.
GOLDEN_CASES = 4
GATEWAY_MIN = "0.1.0"
# The cold check takes a second; a model that hangs it is not for a gateway.
PROVE_S_MAX = 60.0
# How far a form may be from Keras, in units of the site's own spread. Float32 differs by the order of its sums,
# float16 by the digits its weights lose, int8 by a few of 256 levels of its output.
WORST_MAX: dict[Form, float] = {"float32": 1e-3, "float16": 2e-2, "int8": 0.5}
# Runtimes and processors differ by no more than this, however close this one came to Keras.
_TOLERANCE_MIN: dict[Form, float] = {"float32": 1e-4, "float16": 2e-3, "int8": 0.1}
_TOLERANCE_MAX = 0.5
# Golden inputs are rounded before Keras is asked (`convert`); these are digits of the text alone.
_INPUT_DECIMALS, _OUTPUT_DECIMALS = 4, 6
# What this module writes, of this and of earlier contracts.
_OURS = re.compile(
    r"(manifest\.json|model_card\.md|golden\.json|(energy_forecast|load_prediction)\w*(\.tflite|_golden\.json))(\.new)?"
)


class ProofError(Exception):
    """The production acceptance refuses what was trained."""


class Verdict(msgspec.Struct, frozen=True):
    """What `smartwatts-gateway accept --json` says."""

    ok: bool
    digest: str | None
    release: int | None
    reasons: list[str]
    worst_difference: float | None


@dataclass(frozen=True, slots=True)
class BundledModel:
    """One model as it goes into a bundle."""

    spec: ForecastSpec
    target: ForecastTarget
    data: bytes
    form: Form
    form_reason: str
    operators: list[str]
    cases: list[GoldenCase]
    tolerance: float
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the model host is asked for it."""
        return forecast_name(self.spec, self.target)


def golden_cases(inputs: Inputs, said: F32) -> list[GoldenCase]:
    """Inputs `[n, ...]` and what Keras said to them, as flat lists of short numbers."""
    return [
        GoldenCase([_short(tensor[row], _INPUT_DECIMALS) for tensor in inputs], _short(output, _OUTPUT_DECIMALS))
        for row, output in enumerate(said)
    ]


def golden_tolerance(form: Form, worst: float) -> float:
    """The tolerance for golden vectors of which the worst differs by `worst` from Keras on this machine."""
    return float(f"{min(max(2 * worst, _TOLERANCE_MIN[form]), _TOLERANCE_MAX):.2g}")


def write_bundle(
    folder: Path, models: Sequence[BundledModel], training: Training, card: str, *, created_us: int, release: int = 0
) -> str:
    """Put the bundle into `folder`, replacing one that is there; return its digest.

    Raises:
        SettingError: the folder holds something that is no bundle.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {CARD_NAME: card.encode()}
    for model in models:
        files[f"{model.name}.tflite"] = model.data
        files[_golden_name(model)] = msgspec.json.encode(model.cases) + b"\n"
    manifest = encode_manifest(
        BundleManifest(
            schema=2,
            release=release,
            created_us=created_us,
            gateway_min=GATEWAY_MIN,
            input_digest=input_digest(),
            files={name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()},
            models=[_entry(model) for model in models],
            golden=[GoldenVectors(model.name, _golden_name(model), model.tolerance) for model in models],
            training=training,
        )
    )
    # The manifest goes last: a bundle cut short in between is refused by its hashes.
    files[MANIFEST_NAME] = manifest
    for name, data in files.items():
        draft = folder / f"{name}.new"
        draft.write_bytes(data)
        draft.replace(folder / name)
    for older in folder.glob("*"):
        if older.name not in files:
            older.unlink()
    return bundle_digest(manifest)


def check_folder(folder: Path) -> None:
    """Refuse to write among strangers.

    Raises:
        SettingError: the folder is a file, or holds something that is no bundle.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingError("--out", str(folder), "is not a folder", "name a new one")
    strangers = sorted(
        entry.name for entry in folder.glob("*") if not (_OURS.fullmatch(entry.name) and entry.is_file())
    )
    if strangers:
        raise SettingError(
            "--out", str(folder), f"holds {strangers[0]}, which is no part of a bundle", "name a new one"
        )


def prove(folder: Path, *, any_cadence: bool = False, python: str = sys.executable) -> Verdict:
    """The verdict of the production acceptance, run as the program that the gateway runs.

    Args:
        folder: the bundle.
        any_cadence: for evaluation: its models may be of steps that no gateway asks for.
        python: an interpreter with our gateway and a runtime: there are two runtimes, and both must accept.

    Raises:
        ProofError: it refuses the bundle, or did not end by itself.
    """
    command = [python, "-m", "gateway", "accept", str(folder), "--json"]
    if any_cadence:
        command.append("--any-cadence")
    try:
        ended = subprocess.run(command, capture_output=True, timeout=PROVE_S_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProofError(f"the acceptance took more than {PROVE_S_MAX:g} s and was killed") from error
    except OSError as error:
        raise ProofError(f"the acceptance cannot be started with {python}: {error.strerror}") from error
    try:
        verdict = msgspec.json.decode(ended.stdout, type=Verdict)
    except msgspec.MsgspecError as error:
        raise ProofError(f"the acceptance ended with {ended.returncode} and no verdict") from error
    if not verdict.ok:
        raise ProofError(f"the acceptance refuses the bundle: {'; '.join(verdict.reasons)}")
    return verdict


def _is_ours(entry: Path) -> bool:
    return _OURS.fullmatch(entry.name) is not None and entry.is_file()


def _entry(model: BundledModel) -> ModelEntry:
    spec = model.spec
    return ModelEntry(
        kind=spec.kind,
        file=f"{model.name}.tflite",
        inputs=forecast_inputs(spec),
        output=forecast_output(spec),
        operators=model.operators,
        form=model.form,
        form_reason=model.form_reason,
        task=ForecastTask(
            target=model.target,
            step_us=spec.step_us,
            horizon_steps=spec.horizon_steps,
            quantiles=list(spec.quantiles),
            has_peak=spec.has_peak,
            recent_steps=spec.recent_steps,
        ),
        metrics=model.metrics,
    )


def _golden_name(model: BundledModel) -> str:
    return f"{model.name}_golden.json"


def _short(values: F32, decimals: int) -> list[float]:
    # Not round(): the text of 0.1 as float32 is 0.10000000149011612.
    return [float(one) for one in np.round(values.astype(np.float64).ravel(), decimals)]
