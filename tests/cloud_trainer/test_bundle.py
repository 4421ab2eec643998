from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cloud_trainer.bundle import (
    WORST_MAX,
    ProofError,
    check_folder,
    golden_cases,
    golden_tolerance,
    prove,
    write_bundle,
)
from cloud_trainer.form import FORMS
from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.inputs import CHANNELS, Inputs
from gateway.contract.manifest import (
    FILE_BYTES_MAX,
    MANIFEST_NAME,
    GoldenCase,
    Training,
    decode_golden,
    decode_manifest,
)
from tests.sim.bundled import NAME, bundled

MODEL = bundled()
TRAINING = Training("smartwatts-trainer train", "generated", 0, 1, {"skill": 0.25})


def write(folder, *models, created_us=5, release=0):
    return write_bundle(folder, models or [MODEL], TRAINING, "# A card\n", created_us=created_us, release=release)


def test_golden_numbers_are_short_in_the_file_and_exact_as_float32():
    rng = np.random.default_rng(1)
    inputs = Inputs(
        rng.standard_normal((2, ENERGY.recent_steps)).astype(np.float32).round(3),
        rng.standard_normal((2, ENERGY.rows, CHANNELS)).astype(np.float32).round(3),
    )
    said = rng.standard_normal((2, ENERGY.rows, 3)).astype(np.float32)
    data = msgspec.json.encode(golden_cases(inputs, said))
    assert len(data) < 2 * 30_000
    case = decode_golden(data)[1]
    for tensor, flat in zip(inputs, case.inputs, strict=True):
        assert (np.array(flat, dtype=np.float32) == tensor[1].ravel()).all()
    assert np.abs(np.array(case.output) - said[1].ravel()).max() <= 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_a_tolerance_leaves_room_and_has_bounds(form):
    assert golden_tolerance(form, 0.0) >= 1e-4
    assert golden_tolerance(form, WORST_MAX[form] / 2) >= WORST_MAX[form] / 2
    assert golden_tolerance(form, 99.0) == 0.5


def test_a_bundle_holds_several_models_each_with_its_golden_vectors(tmp_path):
    other = replace(MODEL, target="production_w", metrics={"skill_1h": 0.5}, form_reason="tried")
    write(tmp_path, MODEL, other, release=3)
    manifest = decode_manifest((tmp_path / MANIFEST_NAME).read_bytes())
    assert (manifest.release, manifest.training, manifest.created_us) == (3, TRAINING, 5)
    assert [model.name for model in manifest.models] == [NAME, NAME.replace("consumption", "production")]
    assert [golden.model for golden in manifest.golden] == [model.name for model in manifest.models]
    assert (manifest.models[1].metrics, manifest.models[1].form_reason) == ({"skill_1h": 0.5}, "tried")
    assert manifest.files.keys() | {MANIFEST_NAME} == {path.name for path in tmp_path.iterdir()}
    assert all(entry.size <= FILE_BYTES_MAX for entry in manifest.files.values())


@pytest.mark.slow
def test_what_is_written_is_what_the_acceptance_accepts(tmp_path):
    digest = write(tmp_path / "new" / "bundle", release=3)
    verdict = prove(tmp_path / "new" / "bundle")
    assert (verdict.ok, verdict.digest, verdict.release) == (True, digest, 3)


@pytest.mark.slow
def test_a_conversion_that_says_something_else_than_keras_is_not_proven(tmp_path):
    wrong = [GoldenCase(case.inputs, [99.0] * len(case.output)) for case in MODEL.cases]
    write(tmp_path, replace(MODEL, cases=wrong))
    with pytest.raises(ProofError, match=r"golden\.json case 0: differs"):
        prove(tmp_path)


@pytest.mark.slow
def test_a_folder_without_a_bundle_and_a_missing_interpreter_are_told(tmp_path):
    with pytest.raises(ProofError, match="no verdict"):
        prove(tmp_path)
    with pytest.raises(ProofError, match="cannot be started"):
        prove(tmp_path, python=str(tmp_path / "gone"))


def test_an_older_bundle_is_replaced_whole(tmp_path):
    first = write(tmp_path)
    (tmp_path / "energy_forecast.tflite").write_bytes(b"of an earlier contract")
    (tmp_path / "golden.json.new").write_bytes(b"left when the power went")
    assert write(tmp_path, created_us=6) != first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{NAME}.tflite",
        f"{NAME}_golden.json",
        MANIFEST_NAME,
        "model_card.md",
    ]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(SettingError, match="letters, which is no part of a bundle"):
        check_folder(tmp_path)
    (tmp_path / "letters" / "one").write_text("dear")
    with pytest.raises(SettingError, match="is not a folder"):
        check_folder(tmp_path / "letters" / "one")
    check_folder(tmp_path / "new")
