"""Copies of the starter bundle, whole or spoilt in one chosen way with every hash mended.

Tests know what it forecasts, and nothing of how its models are made: the next training may choose otherwise.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

import gateway
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.inputs import F32
from gateway.contract.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    GoldenCase,
    GoldenVectors,
    decode_golden,
    decode_manifest,
    encode_manifest,
    forecast_name,
)

STARTER = Path(gateway.__file__).parent / "factory"
NAME = forecast_name(ENERGY, "consumption_w")
MODEL_FILE = f"{NAME}.tflite"


def manifest_of(bundle: Path = STARTER) -> BundleManifest:
    """What the bundle says of itself."""
    return decode_manifest((bundle / MANIFEST_NAME).read_bytes())


def golden_of(name: str, bundle: Path = STARTER) -> GoldenVectors:
    """The golden vectors of the model `name`."""
    return next(golden for golden in manifest_of(bundle).golden if golden.model == name)


NAMES = sorted(model.name for model in manifest_of().models)
GOLDEN_FILE, TOLERANCE = golden_of(NAME).file, golden_of(NAME).tolerance


def copy_starter(folder: Path) -> Path:
    """The starter bundle in a new folder `bundle` below `folder`."""
    return Path(shutil.copytree(STARTER, folder / "bundle"))


def rewrite_manifest(bundle: Path, change: Callable[[BundleManifest], BundleManifest]) -> None:
    """Replace the manifest by what `change` makes of it."""
    path = bundle / MANIFEST_NAME
    path.write_bytes(encode_manifest(change(decode_manifest(path.read_bytes()))))


def rewrite_file(bundle: Path, name: str, data: bytes) -> None:
    """Replace a file, and its hash in the manifest: as one who can sign would do."""
    (bundle / name).write_bytes(data)
    entry = FileEntry(hashlib.sha256(data).hexdigest(), len(data))
    rewrite_manifest(bundle, lambda manifest: replace(manifest, files=manifest.files | {name: entry}))


def rewrite_model(bundle: Path, name: str, **changes: object) -> None:
    """Let the manifest say `changes` of the model `name`."""

    def change(manifest: BundleManifest) -> BundleManifest:
        models = [replace(one, **changes) if one.name == name else one for one in manifest.models]
        return replace(manifest, models=models)

    rewrite_manifest(bundle, change)


def rewrite_golden(bundle: Path, change: Callable[[list[GoldenCase]], list[GoldenCase]]) -> None:
    """Replace the golden vectors by what `change` makes of them."""
    cases = change(decode_golden((bundle / GOLDEN_FILE).read_bytes()))
    rewrite_file(bundle, GOLDEN_FILE, msgspec.json.encode(cases))


def golden_cases(name: str = NAME, bundle: Path = STARTER) -> list[tuple[list[F32], F32]]:
    """Inputs and output of each golden vector of the model `name`."""
    model = next(model for model in manifest_of(bundle).models if model.name == name)
    return [
        (
            [
                np.array(values, dtype=np.float32).reshape(spec.shape)
                for values, spec in zip(case.inputs, model.inputs, strict=True)
            ],
            np.array(case.output, dtype=np.float32).reshape(model.output.shape),
        )
        for case in decode_golden((bundle / golden_of(name, bundle).file).read_bytes())
    ]


def golden_case(name: str = NAME) -> tuple[list[F32], F32]:
    """The first of them."""
    return golden_cases(name)[0]
