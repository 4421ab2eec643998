"""The cold check of a bundle: everything that can be proven before it is activated. A shell.

`smartwatts-gateway accept BUNDLE` runs it in a process of its own, as everybody who must know does:
the gateway before it activates, the trainer before it publishes. A model that aborts the
interpreter ends that process, and nothing else.
"""

import importlib.metadata
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from firmware_bridge.errors import Exit
from gateway.contract.manifest import (
    GoldenCase,
    GoldenVectors,
    ManifestError,
    ModelEntry,
    TensorSpec,
    decode_golden,
    is_askable,
)
from gateway.shell.interpreter import Edge, Interpreter, ModelError, RuntimeUnusableError
from gateway.shell.verified_bundle import BundleMissingError, VerifiedBundle, read_bundle

# What a small dense or convolutional forecaster needs, and both runtimes run in every form of weights. An
# operator outside this list is new to the device: it wants a test in both first. No loop is among them: a
# recurrent layer takes a hundred times as long.
OPERATORS_ALLOWED = frozenset(
    {
        "ADD",
        "CONCATENATION",
        "CONV_2D",
        "DEQUANTIZE",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "MUL",
        "QUANTIZE",
        "RELU",
        "RESHAPE",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "TRANSPOSE",
    }
)
_DISTRIBUTION = "smartwatts-edge"


class Verdict(msgspec.Struct, frozen=True):
    """What the cold check found.

    `reasons` is empty exactly when `ok`. `worst_difference` is the largest absolute difference
    to a golden output, in the output's own unit; None when none could be computed.
    """

    ok: bool
    digest: str | None
    release: int | None
    reasons: list[str]
    worst_difference: float | None


def accept(bundle: Path, *, any_cadence: bool = False) -> Verdict:
    """Prove the bundle in the folder `bundle`.

    With `any_cadence` its models may be of steps and horizons that no gateway asks for: the trainer judges
    recordings of every cadence by models that are proven like any other.

    Raises:
        BundleMissingError: there is none.
        RuntimeUnusableError: this machine cannot run models; that says nothing of the bundle.
    """
    try:
        verified = read_bundle(bundle)
    except ManifestError as error:
        return Verdict(ok=False, digest=None, release=None, reasons=[str(error)], worst_difference=None)
    reasons = _age_reasons(verified.manifest.gateway_min)
    if not any_cadence:
        reasons += _use_reasons(verified.manifest.models)
    differences: list[float] = []
    for model in verified.manifest.models:
        try:
            differences += _check_model(model, verified, reasons)
        except (ManifestError, ModelError) as error:
            reasons.append(f"{model.file}: {error}")
    worst = max(differences, default=None)
    return Verdict(
        ok=not reasons,
        digest=verified.digest,
        release=verified.manifest.release,
        reasons=reasons,
        worst_difference=worst,
    )


def run(bundle: str, *, as_json: bool, any_cadence: bool = False) -> int:
    """The command: say the verdict on the bundle in the folder `bundle`; the exit code tells it too."""
    try:
        verdict = accept(Path(bundle), any_cadence=any_cadence)
    except BundleMissingError as error:
        sys.stderr.write(f"smartwatts-gateway: {error}.\n")
        return Exit.NOT_FOUND
    except RuntimeUnusableError as error:
        sys.stderr.write(f"smartwatts-gateway: {error}.\n")
        return Exit.FAILED
    if as_json:
        sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n")
    else:
        sys.stdout.write(_sentence(verdict) + "\n")
    return Exit.OK if verdict.ok else Exit.NOT_VERIFIED


def _sentence(verdict: Verdict) -> str:
    if verdict.ok:
        return (
            f"accepted: bundle {verdict.digest} release {verdict.release}, "
            f"worst difference to its golden vectors {verdict.worst_difference:.2g}"
        )
    return "refused: " + "; ".join(verdict.reasons)


def _check_model(model: ModelEntry, bundle: VerifiedBundle, reasons: list[str]) -> list[float]:
    """Load one model, run its golden vectors; append to `reasons` what is wrong, return the differences."""
    interpreter = Interpreter(bundle.files[model.file])
    reasons += _edge_reasons(model, interpreter) + _operator_reasons(model, interpreter)
    vectors = [golden for golden in bundle.manifest.golden if golden.model == model.name]
    if not vectors:
        reasons.append(f"{model.file}: the bundle has no golden vectors for {model.name}")
    differences = []
    for golden in vectors:
        for number, case in enumerate(decode_golden(bundle.files[golden.file])):
            difference = _difference(interpreter, case, f"{golden.file} case {number}")
            reasons += _difference_reasons(golden, number, difference)
            differences.append(difference)
    return [difference for difference in differences if math.isfinite(difference)]


def _difference(interpreter: Interpreter, case: GoldenCase, name: str) -> float:
    """The largest absolute difference between what the model says and what it should; NaN when not finite."""
    sizes = ([math.prod(edge.shape) for edge in interpreter.inputs], math.prod(interpreter.output.shape))
    found = ([len(values) for values in case.inputs], len(case.output))
    if found != sizes:
        raise ManifestError(f"{name} has {found[0]} and {found[1]} values, the model {sizes[0]} and {sizes[1]}")
    with np.errstate(over="ignore"):
        tensors = [
            np.array(values, dtype=np.float32).reshape(edge.shape)
            for values, edge in zip(case.inputs, interpreter.inputs, strict=True)
        ]
    output = interpreter.predict(tensors).astype(np.float64).ravel()
    if not np.isfinite(output).all():
        return math.nan
    return float(np.abs(output - np.array(case.output)).max())


def _difference_reasons(golden: GoldenVectors, number: int, difference: float) -> list[str]:
    if math.isnan(difference):
        return [f"{golden.file} case {number}: the model gives a value that is not a number"]
    if difference > golden.tolerance:
        return [f"{golden.file} case {number}: differs by {difference:.3g}, more than {golden.tolerance:g}"]
    return []


def _edge_reasons(model: ModelEntry, interpreter: Interpreter) -> list[str]:
    """Whether names and shapes are those that the gateway will ask with."""
    found, said = _sketch(interpreter.inputs), _sketch(model.inputs)
    if found != said:
        return [f"{model.file} takes {found}, the manifest says {said}"]
    if list(interpreter.output.shape) != model.output.shape:
        return [f"{model.file} gives {list(interpreter.output.shape)}, the manifest says {model.output.shape}"]
    return []


def _sketch(edges: Iterable[Edge | TensorSpec]) -> str:
    return " and ".join(f"{one.name} {list(one.shape)}" for one in edges)


def _operator_reasons(model: ModelEntry, interpreter: Interpreter) -> list[str]:
    used = interpreter.operators()
    if used is not None and used != sorted(set(model.operators)):
        return [f"{model.file} uses {', '.join(used)}, the manifest says {', '.join(model.operators)}"]
    strange = sorted(set(model.operators) - OPERATORS_ALLOWED)
    return [f"{model.file} uses operators that are not allowed: {', '.join(strange)}"] if strange else []


def _use_reasons(models: list[ModelEntry]) -> list[str]:
    """Whether a gateway would ever ask one of the models."""
    if any(is_askable(model) for model in models):
        return []
    return [
        f"no gateway asks for {', '.join(model.name for model in models)}; --any-cadence lets it pass for evaluation"
    ]


def _age_reasons(gateway_min: str) -> list[str]:
    """Whether this software is new enough for the bundle."""
    ours = importlib.metadata.version(_DISTRIBUTION)
    try:
        is_new_enough = _numbers(ours) >= _numbers(gateway_min)
    except ValueError:
        return [f"gateway_min {gateway_min!r} is not a version like 1.2.3"]
    return [] if is_new_enough else [f"the bundle needs gateway {gateway_min} or newer, this is {ours}"]


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", version)
    if release is None:
        raise ValueError(version)
    return tuple(int(part) for part in release.groups())
