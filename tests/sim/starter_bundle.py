"""Copies of the starter bundle, whole or spoilt in one chosen way with every hash mended."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

import gateway
from gateway.contract.inputs import F32
from gateway.contract.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    GoldenCase,
    decode_golden,
    decode_manifest,
    encode_manifest,
)

STARTER = Path(gateway.__file__).parent / "factory"
MODEL_FILE = "energy_forecast.tflite"
GOLDEN_FILE = "golden.json"


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


def rewrite_golden(bundle: Path, change: Callable[[list[GoldenCase]], list[GoldenCase]]) -> None:
    """Replace the golden vectors by what `change` makes of them."""
    cases = change(decode_golden((bundle / GOLDEN_FILE).read_bytes()))
    rewrite_file(bundle, GOLDEN_FILE, msgspec.json.encode(cases))


def golden_case(bundle: Path = STARTER) -> tuple[F32, F32]:
    """Input `[1, 96, 26]` and output `[1, 96, 3]` of the first golden vector."""
    manifest = decode_manifest((bundle / MANIFEST_NAME).read_bytes())
    model, case = manifest.models[0], decode_golden((bundle / GOLDEN_FILE).read_bytes())[0]
    return (
        np.array(case.input, dtype=np.float32).reshape(model.input.shape),
        np.array(case.output, dtype=np.float32).reshape(model.output.shape),
    )
