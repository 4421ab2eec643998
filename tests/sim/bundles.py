"""Tiny bundles that fit together but hold no model: for everything that happens before one is loaded."""

import hashlib
from pathlib import Path

import msgspec

from gateway.contract.forecast_spec import ENERGY
from gateway.contract.inputs import input_digest
from gateway.contract.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    GoldenCase,
    GoldenVectors,
    ModelEntry,
    Training,
    bundle_digest,
    encode_manifest,
    forecast_inputs,
    forecast_name,
    forecast_output,
    forecast_task,
)

NAME = forecast_name(ENERGY, "consumption_w")
MODEL_FILE = f"{NAME}.tflite"
GOLDEN_FILE = f"{NAME}_golden.json"


def write_bundle(
    folder: Path, *, release: int = 0, model: bytes = b"weights", card: bytes = b"about", channel: str = ""
) -> str:
    """Write a bundle into `folder`; its digest."""
    golden = msgspec.json.encode([GoldenCase([[0.0], [0.0]], [0.0])])
    files = {MODEL_FILE: model, GOLDEN_FILE: golden, "card.md": card}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = encode_manifest(
        BundleManifest(
            schema=2,
            release=release,
            created_us=1_700_000_000_000_000,
            gateway_min="0.1.0",
            input_digest=input_digest(),
            files={name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()},
            models=[
                ModelEntry(
                    kind=ENERGY.kind,
                    file=MODEL_FILE,
                    inputs=forecast_inputs(ENERGY),
                    output=forecast_output(ENERGY),
                    operators=[],
                    form="float32",
                    form_reason="there are no weights",
                    task=forecast_task(ENERGY, "consumption_w"),
                )
            ],
            golden=[GoldenVectors(NAME, GOLDEN_FILE, 0.01)],
            training=Training("none", "none", 0, 1, {}),
            channel=channel,
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
