"""A trained model becomes a bundle: model, golden vectors, model card, manifest; and is proven.

What the golden vectors expect is what Keras said: the cold check then proves the conversion, the
runtime and the bundle in one go. Nothing here needs TensorFlow.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np

from cloud_trainer.dataset import Windows
from cloud_trainer.model_card import model_card
from firmware_bridge.errors import SettingError
from gateway.contract.inputs import CHANNEL_NAMES, CHANNELS, F32, HORIZON_STEPS, QUANTILES, input_digest
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

MODEL_NAME = "energy_forecast.tflite"
GOLDEN_NAME = "golden.json"
CARD_NAME = "model_card.md"
BUNDLE_NAMES = (MODEL_NAME, GOLDEN_NAME, CARD_NAME, MANIFEST_NAME)
# Cases that travel with the bundle; the conversion itself is proven on more.
GOLDEN_CASES = 8
PROOF_CASES = 200
# In units of the site's own spread. Both runtimes agree to 1e-5 here; a wrong weight shows at 1e-2.
TOLERANCE = 1e-4
GATEWAY_MIN = "0.1.0"
# The cold check takes a second; a model that hangs it is not for a gateway.
PROVE_S_MAX = 60.0
# Golden inputs are rounded to be short in the file; the expected outputs are those of the rounded.
_INPUT_DECIMALS, _OUTPUT_DECIMALS = 4, 6

# What the step-MLP is made of once it is converted; the acceptance compares.
_OPERATORS = ["ADD", "FULLY_CONNECTED"]
_KNOWN_COLUMNS = [column for column, name in enumerate(CHANNEL_NAMES) if name.endswith("_known")]


class ProofError(Exception):
    """The production acceptance refuses what was trained."""


class Verdict(msgspec.Struct, frozen=True):
    """What `smartwatts-gateway accept --json` says."""

    ok: bool
    digest: str | None
    release: int | None
    reasons: list[str]
    worst_difference: float | None


def golden_inputs(windows: Windows, count: int) -> F32:
    """`count` inputs `[count, HORIZON_STEPS, CHANNELS]` over seasons and levels; three in eight have gaps."""
    has_gaps = (windows.inputs[..., _KNOWN_COLUMNS] == 0).any(axis=(-2, -1))
    gapped = _spread(windows.where(has_gaps), count * 3 // 8)
    chosen = np.concatenate([_spread(windows.where(~has_gaps), count - len(gapped)), gapped])
    return np.asarray(np.round(chosen, _INPUT_DECIMALS))


def golden_cases(inputs: F32, outputs: F32) -> list[GoldenCase]:
    """Inputs and what Keras said to them, as flat lists of short numbers."""
    return [
        GoldenCase(_short(case, _INPUT_DECIMALS), _short(output, _OUTPUT_DECIMALS))
        for case, output in zip(inputs, outputs, strict=True)
    ]


def write_bundle(
    folder: Path, model: bytes, cases: list[GoldenCase], training: Training, *, created_us: int, release: int = 0
) -> str:
    """Put the bundle into `folder`, replacing one that is there; return its digest.

    Raises:
        SettingError: the folder holds something that is no bundle.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        MODEL_NAME: model,
        GOLDEN_NAME: msgspec.json.encode(cases) + b"\n",
        CARD_NAME: model_card(training, model_bytes=len(model)).encode(),
    }
    manifest = encode_manifest(_manifest(files, training, created_us, release))
    # The manifest goes last: a bundle cut short in between is refused by its hashes.
    for name, data in (*files.items(), (MANIFEST_NAME, manifest)):
        draft = folder / f"{name}.new"
        draft.write_bytes(data)
        draft.replace(folder / name)
    return bundle_digest(manifest)


def check_folder(folder: Path) -> None:
    """Refuse to write among strangers.

    Raises:
        SettingError: the folder is a file, or holds something that is no bundle.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingError("--out", str(folder), "is not a folder", "name a new one")
    strangers = sorted({entry.name for entry in folder.glob("*")} - set(BUNDLE_NAMES))
    if strangers:
        raise SettingError(
            "--out", str(folder), f"holds {strangers[0]}, which is no part of a bundle", "name a new one"
        )


def prove(folder: Path) -> Verdict:
    """The verdict of the production acceptance, run as the program that the gateway runs.

    Raises:
        ProofError: it refuses the bundle, or did not end by itself.
    """
    command = [sys.executable, "-m", "gateway", "accept", str(folder), "--json"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=PROVE_S_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProofError(f"the acceptance took more than {PROVE_S_MAX:g} s and was killed") from error
    try:
        verdict = msgspec.json.decode(ended.stdout, type=Verdict)
    except msgspec.MsgspecError as error:
        raise ProofError(f"the acceptance ended with {ended.returncode} and no verdict") from error
    if not verdict.ok:
        raise ProofError(f"the acceptance refuses the bundle: {'; '.join(verdict.reasons)}")
    return verdict


def _manifest(files: dict[str, bytes], training: Training, created_us: int, release: int) -> BundleManifest:
    return BundleManifest(
        schema=1,
        release=release,
        created_us=created_us,
        gateway_min=GATEWAY_MIN,
        input_digest=input_digest(),
        files={name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()},
        models=[
            ModelEntry(
                kind="energy_forecast",
                file=MODEL_NAME,
                input=TensorSpec(
                    [1, HORIZON_STEPS, CHANNELS],
                    "float32",
                    "per 15-min step ahead: channels of gateway.contract.inputs, powers as (W - anchor) / scale",
                ),
                output=TensorSpec(
                    [1, HORIZON_STEPS, len(QUANTILES)],
                    "float32",
                    "average power of each step, quantiles 0.1, 0.5, 0.9, as (W - anchor) / scale",
                ),
                operators=_OPERATORS,
            )
        ],
        golden=[GoldenVectors("energy_forecast", GOLDEN_NAME, TOLERANCE)],
        training=training,
    )


def _spread(windows: Windows, count: int) -> F32:
    """Inputs that differ as much as `count` can: the year in equal parts, and of each part another level."""
    by_season = np.argsort(windows.issued_us, kind="stable")
    rows = np.zeros(min(count, len(windows)), dtype=np.int64)
    for part, season in enumerate(np.array_split(by_season, len(rows)) if len(rows) else ()):
        by_level = season[np.argsort(windows.scale_w[season], kind="stable")]
        # Steps of the golden ratio visit low, middle and high levels alike.
        rows[part] = by_level[int(len(by_level) * (part * 0.618034 % 1.0))]
    return windows.inputs[rows]


def _short(values: F32, decimals: int) -> list[float]:
    return [round(float(value), decimals) for value in values.ravel()]
