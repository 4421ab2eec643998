"""Tiny bundles that fit together but hold no model: for everything that happens before one is loaded."""

import hashlib
from pathlib import Path

import msgspec

from gateway.contract.inputs import CHANNELS, HORIZON_STEPS, QUANTILES, input_digest
from gateway.contract.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    GoldenCase,
    GoldenVectors,
    ModelEntry,
    TensorSpec,
    Training,
    bundle_digest,
    encode_manifest,
)

MODEL_FILE = "energy_forecast.tflite"
GOLDEN_FILE = "energy_forecast_golden.json"


def write_bundle(folder: Path, *, release: int = 0, model: bytes = b"weights", card: bytes = b"about") -> str:
    """Write a bundle into `folder`; its digest."""
    golden = msgspec.json.encode([GoldenCase([0.0], [0.0])])
    files = {MODEL_FILE: model, GOLDEN_FILE: golden, "card.md": card}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = encode_manifest(
        BundleManifest(
            schema=1,
            release=release,
            created_us=1_700_000_000_000_000,
            gateway_min="0.1.0",
            input_digest=input_digest(),
            files={name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()},
            models=[
                ModelEntry(
                    "energy_forecast",
                    MODEL_FILE,
                    TensorSpec([1, HORIZON_STEPS, CHANNELS], "float32", "inputs"),
                    TensorSpec([1, HORIZON_STEPS, len(QUANTILES)], "float32", "quantiles"),
                    [],
                )
            ],
            golden=[GoldenVectors("energy_forecast", GOLDEN_FILE, 0.01)],
            training=Training("none", "none", 0, 1, {}),
        )
    )
    (folder / MANIFEST_NAME).write_bytes(manifest)
    return bundle_digest(manifest)


def install_bundle(models: Path, *, release: int, model: bytes = b"weights") -> str:
    """Put a bundle where an installed one lies below the models folder; its digest."""
    staging = models / "made"
    digest = write_bundle(staging, release=release, model=model)
    (models / "versions").mkdir(parents=True, exist_ok=True)
    staging.rename(models / "versions" / digest)
    return digest
