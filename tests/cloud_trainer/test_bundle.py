import numpy as np
import pytest

from cloud_trainer.bundle import (
    GOLDEN_CASES,
    ProofError,
    check_folder,
    golden_cases,
    golden_inputs,
    prove,
    write_bundle,
)
from cloud_trainer.dataset import home, split, workshop
from firmware_bridge.errors import SettingError
from gateway.contract.inputs import CHANNEL_NAMES
from gateway.contract.manifest import MANIFEST_NAME, GoldenCase, Training, decode_golden, decode_manifest
from tests.sim.starter_bundle import GOLDEN_FILE, MODEL_FILE, STARTER

MODEL = (STARTER / MODEL_FILE).read_bytes()
TRAINING = Training("smartwatts-trainer train", "generated", 0, 1, {"mae": 0.5})
CASES = decode_golden((STARTER / GOLDEN_FILE).read_bytes())


@pytest.fixture(scope="module")
def examples():
    sites = [home(seed, 21) for seed in range(2)] + [workshop(seed, 21) for seed in range(2)]
    return split(sites, test_every=4, train_share=0.5, rng=np.random.default_rng(1)).train


def gaps(inputs):
    known = [column for column, name in enumerate(CHANNEL_NAMES) if name.endswith("_known")]
    return (inputs[..., known] == 0).any(axis=(-2, -1))


def test_golden_inputs_are_spread_some_with_gaps_and_always_the_same(examples):
    inputs = golden_inputs(examples, GOLDEN_CASES)
    assert inputs.shape == (GOLDEN_CASES, *examples.inputs.shape[1:])
    assert gaps(inputs).sum() == GOLDEN_CASES * 3 // 8
    assert len(np.unique(inputs, axis=0)) == GOLDEN_CASES
    assert (inputs == golden_inputs(examples, GOLDEN_CASES)).all()


def test_golden_numbers_are_short_in_the_file_and_exact_as_float32(examples):
    inputs = golden_inputs(examples, 2)
    cases = golden_cases(inputs, inputs[..., :3])
    assert (np.array(cases[0].input, dtype=np.float32) == inputs[0].ravel()).all()
    assert max(len(repr(value)) for value in cases[0].input) < 12


@pytest.mark.slow
def test_what_is_written_is_what_the_acceptance_accepts(tmp_path):
    digest = write_bundle(tmp_path / "new" / "bundle", MODEL, CASES, TRAINING, created_us=5, release=3)
    verdict = prove(tmp_path / "new" / "bundle")
    assert (verdict.ok, verdict.digest, verdict.release) == (True, digest, 3)
    manifest = decode_manifest((tmp_path / "new" / "bundle" / MANIFEST_NAME).read_bytes())
    assert (manifest.training, manifest.created_us) == (TRAINING, 5)


@pytest.mark.slow
def test_a_conversion_that_says_something_else_than_keras_is_not_proven(tmp_path):
    wrong = [GoldenCase(case.input, [0.0] * len(case.output)) for case in CASES]
    write_bundle(tmp_path, MODEL, wrong, TRAINING, created_us=5)
    with pytest.raises(ProofError, match=r"golden\.json case 0: differs"):
        prove(tmp_path)


@pytest.mark.slow
def test_a_folder_without_a_bundle_is_not_proven(tmp_path):
    with pytest.raises(ProofError, match="no verdict"):
        prove(tmp_path)


def test_an_older_bundle_is_replaced_whole(tmp_path):
    first = write_bundle(tmp_path, MODEL, CASES, TRAINING, created_us=5)
    assert write_bundle(tmp_path, MODEL, CASES, TRAINING, created_us=6) != first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in STARTER.iterdir())


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(SettingError, match="letters, which is no part of a bundle"):
        check_folder(tmp_path)
    (tmp_path / "letters" / "one").write_text("dear")
    with pytest.raises(SettingError, match="is not a folder"):
        check_folder(tmp_path / "letters" / "one")
    check_folder(tmp_path / "new")
