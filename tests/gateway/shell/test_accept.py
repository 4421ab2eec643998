import subprocess
import sys

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from firmware_bridge.errors import Exit
from gateway.contract.inputs import CHANNELS, HORIZON_STEPS, QUANTILES
from gateway.contract.manifest import MANIFEST_NAME, GoldenCase, TensorSpec
from gateway.shell.accept import Verdict, accept, run
from gateway.shell.interpreter import Interpreter
from gateway.shell.verified_bundle import read_bundle
from tests.sim.starter_bundle import (
    GOLDEN_FILE,
    MODEL_FILE,
    STARTER,
    copy_starter,
    rewrite_file,
    rewrite_golden,
    rewrite_manifest,
)

NAMES = [*sorted(read_bundle(STARTER).files), MANIFEST_NAME]


@pytest.fixture
def bundle(tmp_path):
    return copy_starter(tmp_path)


def refused(bundle):
    """The reasons for which `bundle` is refused, as one text."""
    verdict = accept(bundle)
    assert not verdict.ok
    return "; ".join(verdict.reasons)


def test_the_starter_bundle_is_accepted():
    verdict = accept(STARTER)
    assert verdict.ok
    assert (verdict.digest, verdict.release, verdict.reasons) == (read_bundle(STARTER).digest, 0, [])
    assert verdict.worst_difference is not None
    assert verdict.worst_difference < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_in_any_file_is_refused_or_is_another_bundle(bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x20
    path.write_bytes(data)
    verdict = accept(bundle)
    assert verdict.digest != read_bundle(STARTER).digest
    if name != MANIFEST_NAME:
        assert name in refused(bundle)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_missing_file_is_refused_by_name(bundle, name):
    (bundle / name).unlink()
    assert name in refused(bundle)


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.99])
def test_a_truncated_manifest_is_refused(bundle, share):
    path = bundle / MANIFEST_NAME
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "manifest.json cannot be read" in refused(bundle)


def test_a_bundle_for_other_inputs_is_refused(bundle):
    path = bundle / MANIFEST_NAME
    digest = read_bundle(bundle).manifest.input_digest
    path.write_text(path.read_text().replace(digest, "0" * 64))
    assert "made for inputs 000000000000" in refused(bundle)


def test_a_bundle_for_a_newer_gateway_is_refused(bundle):
    rewrite_manifest(bundle, lambda manifest: replace(manifest, gateway_min="1000.0.0"))
    assert "needs gateway 1000.0.0" in refused(bundle)


def test_a_bundle_for_no_version_is_refused(bundle):
    rewrite_manifest(bundle, lambda manifest: replace(manifest, gateway_min="latest"))
    assert "'latest' is not a version" in refused(bundle)


def test_other_weights_than_the_golden_vectors_saw_are_refused(bundle):
    model = (bundle / MODEL_FILE).read_bytes()
    loaded = Interpreter(model)._interpreter
    weights = next(
        loaded.get_tensor(tensor["index"])
        for tensor in loaded.get_tensor_details()
        if list(tensor["shape"]) == [len(QUANTILES), CHANNELS]
    )
    assert model.count(weights.tobytes()) == 1
    rewrite_file(bundle, MODEL_FILE, model.replace(weights.tobytes(), (weights * np.float32(1.001)).tobytes()))
    assert "golden.json case" in refused(bundle)


def test_golden_vectors_beyond_the_tolerance_are_refused_with_the_difference(bundle):
    def shifted(cases):
        return [GoldenCase(cases[0].input, [value + 0.01 for value in cases[0].output]), *cases[1:]]

    rewrite_golden(bundle, shifted)
    assert f"{GOLDEN_FILE} case 0: differs by 0.01" in refused(bundle)
    assert accept(bundle).worst_difference == pytest.approx(0.01, rel=0.01)


def test_a_model_that_answers_with_infinity_is_refused(bundle):
    rewrite_golden(bundle, lambda cases: [GoldenCase([1e39] * len(cases[0].input), cases[0].output)])
    assert "not a number" in refused(bundle)


@pytest.mark.parametrize("lost", ["input", "output"])
def test_golden_vectors_of_another_size_are_refused(bundle, lost):
    rewrite_golden(bundle, lambda cases: [replace(cases[0], **{lost: getattr(cases[0], lost)[:-1]})])
    assert "values, the model" in refused(bundle)


def test_a_model_without_golden_vectors_is_refused(bundle):
    def without(manifest):
        return replace(manifest, golden=[replace(manifest.golden[0], model="anomaly_detection")])

    rewrite_manifest(bundle, without)
    assert "no golden vectors for energy_forecast" in refused(bundle)


def test_a_model_of_another_shape_than_it_says_is_refused(bundle):
    def mislabelled(manifest):
        spec = TensorSpec([1, HORIZON_STEPS, 5], "float32", "a lie")
        return replace(manifest, models=[replace(manifest.models[0], kind="load_prediction", output=spec)])

    rewrite_manifest(bundle, mislabelled)
    assert "the manifest says otherwise" in refused(bundle)


def test_operators_other_than_the_manifest_says_are_refused(bundle):
    def silent(manifest):
        return replace(manifest, models=[replace(manifest.models[0], operators=["ADD"])])

    rewrite_manifest(bundle, silent)
    assert "uses ADD, FULLY_CONNECTED, the manifest says ADD" in refused(bundle)


def test_bytes_that_are_no_model_are_refused(bundle):
    rewrite_file(bundle, MODEL_FILE, b"not a model at all")
    assert "cannot be loaded" in refused(bundle)


def test_no_bundle_at_all_is_another_exit_code_than_a_bad_one(tmp_path, bundle, capsys):
    assert run(str(tmp_path / "nowhere"), as_json=False) == Exit.NOT_FOUND
    assert "no readable manifest.json" in capsys.readouterr().err
    (bundle / MODEL_FILE).unlink()
    assert run(str(bundle), as_json=False) == Exit.NOT_VERIFIED
    assert capsys.readouterr().out.startswith(f"refused: {MODEL_FILE}")


@pytest.mark.slow
def test_the_command_says_its_verdict_in_json_and_in_a_sentence():
    command = [sys.executable, "-m", "gateway", "accept", str(STARTER)]
    told = subprocess.run([*command, "--json"], capture_output=True, check=True)
    assert msgspec.json.decode(told.stdout, type=Verdict) == accept(STARTER)
    said = subprocess.run(command, capture_output=True, check=True, text=True)
    assert said.stdout.startswith(f"accepted: bundle {read_bundle(STARTER).digest} release 0")
