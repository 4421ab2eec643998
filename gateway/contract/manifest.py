"""The manifest of a model bundle: what is in it and how to prove it. Pure.

A bundle is a folder: `manifest.json`, the model files and the golden vectors it names, and a model
card for people. Its *digest* is the SHA-256 of the manifest's bytes; as the manifest holds the hash
of every file, the digest names the whole bundle. TUF signs the files; this module says whether
they fit together and fit this gateway.
"""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.contract.forecast_spec import MINUTE_US, SPECS, ForecastKind, ForecastSpec
from gateway.contract.inputs import CHANNELS, input_digest

MANIFEST_NAME = "manifest.json"
MANIFEST_BYTES_MAX = 64 * 1024
# The largest of our models is below 100 kB; a bundle that needs more is not for this gateway.
FILE_BYTES_MAX = 4 * 1024 * 1024
FILES_MAX = 24
# A model of ours takes two tensors; weather and prices may each become one more.
INPUTS_MAX = 4

ForecastTarget = Literal["consumption_w", "production_w"]
Form = Literal["float32", "float16", "int8"]
TensorName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}\Z")]
FileName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,48}\.(tflite|json|md|png)\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class ManifestError(ValueError):
    """The bundle does not fit together, or does not fit this gateway. Names what and why."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the bundle: its exact bytes."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=FILE_BYTES_MAX)]


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor at the model's edge. `meaning` is for people: what the numbers are, and their unit."""

    name: TensorName
    shape: list[int]
    dtype: Literal["float32"]
    meaning: str


class ForecastTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a forecaster forecasts: a `ForecastSpec`, and of what."""

    target: ForecastTarget
    step_us: int
    horizon_steps: int
    quantiles: list[float]
    has_peak: bool
    recent_steps: int


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the bundle: `inputs` in the order of their names; how its weights are kept, and why so."""

    kind: Literal["energy_forecast", "anomaly_detection", "load_prediction", "optimization"]
    file: FileName
    inputs: Annotated[list[TensorSpec], Meta(min_length=1, max_length=INPUTS_MAX)]
    output: TensorSpec
    operators: list[str]
    form: Form
    form_reason: str
    # of the forecasters alone
    task: ForecastTask | None = None
    metrics: dict[str, float] = {}

    @property
    def name(self) -> str:
        """How the model host is asked for it."""
        return self.file.removesuffix(".tflite")


class GoldenVectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of the model `model` with the outputs the trainer saw; `tolerance` is absolute, in the output's unit."""

    model: str
    file: FileName
    tolerance: Annotated[float, Meta(gt=0, le=0.5)]


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights come from and how good they were when they were made."""

    command: str
    data: str
    first_us: int
    last_us: int
    metrics: dict[str, float]


class BundleManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `manifest.json`."""

    schema: Literal[2]
    release: Annotated[int, Meta(ge=0)]
    created_us: int
    gateway_min: str
    input_digest: Sha256
    files: dict[FileName, FileEntry]
    models: Annotated[list[ModelEntry], Meta(min_length=1, max_length=8)]
    golden: Annotated[list[GoldenVectors], Meta(min_length=1, max_length=8)]
    training: Training
    # which it was published on; releases are counted on each for itself
    channel: Annotated[str, Meta(max_length=64)] = ""


class GoldenCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One golden vector: each input and the output as flat float32 values in C order."""

    inputs: list[list[float]]
    output: list[float]


_DECODER = msgspec.json.Decoder(BundleManifest)
_GOLDEN_DECODER = msgspec.json.Decoder(list[GoldenCase])


def encode_manifest(manifest: BundleManifest) -> bytes:
    """The bytes of `manifest.json`: sorted and indented, so that people can compare two."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def bundle_digest(manifest_bytes: bytes) -> str:
    """The name of the bundle: SHA-256 of its manifest's bytes."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def decode_manifest(data: bytes) -> BundleManifest:
    """The manifest in `data`, checked against what this gateway can use.

    Raises:
        ManifestError: not a manifest, or made for other inputs or shapes.
    """
    if len(data) > MANIFEST_BYTES_MAX:
        raise ManifestError(f"manifest.json has {len(data)} bytes, more than {MANIFEST_BYTES_MAX}")
    try:
        manifest = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise ManifestError(f"manifest.json cannot be read: {error}") from error
    ours = input_digest()
    if manifest.input_digest != ours:
        raise ManifestError(
            f"the bundle was made for inputs {manifest.input_digest[:12]}, this gateway makes {ours[:12]}"
        )
    named = {model.file for model in manifest.models} | {golden.file for golden in manifest.golden}
    models = [model.name for model in manifest.models]
    if len(set(models)) < len(models):
        raise ManifestError(f"manifest.json names a model twice: {', '.join(sorted(models))}")
    if missing := sorted(named - manifest.files.keys()):
        raise ManifestError(f"manifest.json names {', '.join(missing)} but does not list it under files")
    if len(manifest.files) > FILES_MAX:
        raise ManifestError(f"manifest.json lists {len(manifest.files)} files, more than {FILES_MAX}")
    for model in manifest.models:
        _check_names(model)
        _check_task(model)
    return manifest


def check_file(name: str, data: bytes, entry: FileEntry) -> None:
    """Whether `data` is the file the manifest means.

    Raises:
        ManifestError: length or hash differ; names the file.
    """
    if len(data) != entry.size:
        raise ManifestError(f"{name} has {len(data)} bytes, the manifest says {entry.size}")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ManifestError(f"{name} is not the file of the manifest: its SHA-256 differs")


def decode_golden(data: bytes) -> list[GoldenCase]:
    """The golden vectors in `data`.

    Raises:
        ManifestError: not golden vectors, or none.
    """
    try:
        cases = _GOLDEN_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise ManifestError(f"the golden vectors cannot be read: {error}") from error
    if not cases:
        raise ManifestError("the file of golden vectors is empty")
    return cases


def forecast_name(spec: ForecastSpec, target: ForecastTarget) -> str:
    """The name of the model for `spec` and `target`: what the host is asked for, and its file without the end."""
    steps = f"{spec.horizon_steps}x{spec.step_us // MINUTE_US}min"
    return f"{spec.kind}_{target.removesuffix('_w')}_{steps}"


def forecast_inputs(spec: ForecastSpec) -> list[TensorSpec]:
    """The tensors that the model for `spec` takes."""
    scaled = "as (W - anchor) / scale"
    return [
        TensorSpec("recent", [1, spec.recent_steps], "float32", f"the last steps, oldest first, {scaled}"),
        TensorSpec(
            "steps",
            [1, spec.rows, CHANNELS],
            "float32",
            f"of each step ahead: the channels of gateway.contract.inputs, powers {scaled}",
        ),
    ]


def forecast_output(spec: ForecastSpec) -> TensorSpec:
    """The tensor that the model for `spec` gives."""
    levels = ", ".join(f"{one:g}" for one in spec.quantiles)
    peak = "; the last row is the highest of them" if spec.has_peak else ""
    meaning = f"average power of each step, quantiles {levels}, as (W - anchor) / scale{peak}"
    return TensorSpec("quantiles", [1, spec.rows, len(spec.quantiles)], "float32", meaning)


def forecast_task(spec: ForecastSpec, target: ForecastTarget) -> ForecastTask:
    """How the manifest says that a model forecasts `target` by `spec`."""
    return ForecastTask(
        target, spec.step_us, spec.horizon_steps, list(spec.quantiles), spec.has_peak, spec.recent_steps
    )


def forecast_spec(kind: ForecastKind, task: ForecastTask) -> ForecastSpec:
    """The spec that `task` spells out.

    Raises:
        ValueError: no spec can be like that.
    """
    return ForecastSpec(
        kind, task.step_us, task.horizon_steps, tuple(task.quantiles), task.has_peak, task.recent_steps
    )


def is_askable(model: ModelEntry) -> bool:
    """Whether a gateway ever asks this model: forecasters of other cadences are for evaluation."""
    if model.kind not in ("energy_forecast", "load_prediction"):
        return True
    assert model.task is not None, "a manifest that was decoded"
    return forecast_spec(model.kind, model.task) in SPECS


def _check_names(model: ModelEntry) -> None:
    """Whether the inputs stand in the order in which the model is asked."""
    names = [one.name for one in model.inputs]
    if names != sorted(set(names)):
        raise ManifestError(f"{model.file} names its inputs {', '.join(names)}: not in order, or one twice")


def _check_task(model: ModelEntry) -> None:
    """Whether a forecaster says of what, and its name and shapes follow from that."""
    if model.kind not in ("energy_forecast", "load_prediction"):
        return
    if model.task is None:
        raise ManifestError(f"{model.file} is a forecaster and does not say of what")
    try:
        spec = forecast_spec(model.kind, model.task)
    except ValueError as error:
        raise ManifestError(f"{model.file} forecasts what cannot be: {error}") from error
    found, wanted = _edges(model.inputs, model.output), _edges(forecast_inputs(spec), forecast_output(spec))
    if found != wanted:
        raise ManifestError(f"{model.file} maps {found}; this gateway needs {wanted}")
    if model.name != (name := forecast_name(spec, model.task.target)):
        raise ManifestError(f"{model.file} is asked for as {name}, so its file must be {name}.tflite")


def _edges(inputs: list[TensorSpec], output: TensorSpec) -> str:
    taken = " and ".join(f"{one.name} {one.shape}" for one in inputs)
    return f"{taken} to {output.shape}"
