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

from gateway.contract.inputs import CHANNELS, HORIZON_STEPS, QUANTILES, input_digest

MANIFEST_NAME = "manifest.json"
MANIFEST_BYTES_MAX = 64 * 1024
# The largest of our models is below 100 kB; a bundle that needs more is not for this gateway.
FILE_BYTES_MAX = 4 * 1024 * 1024
FILES_MAX = 16

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

    shape: list[int]
    dtype: Literal["float32"]
    meaning: str


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the bundle."""

    kind: Literal["energy_forecast", "anomaly_detection", "load_prediction", "optimization"]
    file: FileName
    input: TensorSpec
    output: TensorSpec
    operators: list[str]


class GoldenVectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs with the outputs the trainer saw; `tolerance` is absolute, in the output's own unit."""

    model: str
    file: FileName
    tolerance: Annotated[float, Meta(gt=0, le=0.1)]


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights come from and how good they were when they were made."""

    command: str
    data: str
    first_us: int
    last_us: int
    metrics: dict[str, float]


class BundleManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `manifest.json`."""

    schema: Literal[1]
    release: Annotated[int, Meta(ge=0)]
    created_us: int
    gateway_min: str
    input_digest: Sha256
    files: dict[FileName, FileEntry]
    models: Annotated[list[ModelEntry], Meta(min_length=1, max_length=8)]
    golden: Annotated[list[GoldenVectors], Meta(min_length=1, max_length=8)]
    training: Training


class GoldenCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One golden vector: flat float32 values in C order."""

    input: list[float]
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
    if manifest.input_digest != input_digest():
        raise ManifestError(
            f"the bundle was made for inputs {manifest.input_digest[:12]}, this gateway makes {input_digest()[:12]}"
        )
    named = {model.file for model in manifest.models} | {golden.file for golden in manifest.golden}
    if missing := sorted(named - manifest.files.keys()):
        raise ManifestError(f"manifest.json names {', '.join(missing)} but does not list it under files")
    if len(manifest.files) > FILES_MAX:
        raise ManifestError(f"manifest.json lists {len(manifest.files)} files, more than {FILES_MAX}")
    for model in manifest.models:
        _check_shape(model)
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


def _check_shape(model: ModelEntry) -> None:
    if model.kind != "energy_forecast":
        return
    wanted = ([1, HORIZON_STEPS, CHANNELS], [1, HORIZON_STEPS, len(QUANTILES)])
    if (model.input.shape, model.output.shape) != wanted:
        raise ManifestError(
            f"{model.kind} maps {model.input.shape} to {model.output.shape}; "
            f"this gateway needs {wanted[0]} to {wanted[1]}"
        )
