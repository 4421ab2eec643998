import subprocess
import sys
from contextlib import suppress

import msgspec
import pytest
from msgspec.structs import replace

from firmware_bridge.errors import Exit
from gateway.__main__ import main
from gateway.contract.forecast_spec import MINUTE_US, energy_spec
from gateway.contract.manifest import (
    MANIFEST_NAME,
    GoldenCase,
    TensorSpec,
    forecast_inputs,
    forecast_name,
    forecast_output,
    forecast_task,
)
from gateway.shell.accept import Verdict, accept, run
from gateway.shell.interpreter import Interpreter
from gateway.shell.verified_bundle import read_bundle
from tests.sim.starter_bundle import (
    GOLDEN_FILE,
    MODEL_FILE,
    NAME,
    NAMES,
    STARTER,
    TOLERANCE,
    copy_starter,
    golden_of,
    manifest_of,
    rewrite_file,
    rewrite_golden,
    rewrite_manifest,
    rewrite_model,
)
from tests.sim.tiny_model import joined

FILES = [*sorted(read_bundle(STARTER).files), MANIFEST_NAME]


PAIR_FILE = "pair.tflite"


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
    assert (verdict.digest, verdict.reasons) == (read_bundle(STARTER).digest, [])
    assert verdict.release == manifest_of().release
    assert verdict.worst_difference is not None
    assert verdict.worst_difference <= max(golden.tolerance for golden in manifest_of().golden)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_in_any_file_is_refused_or_is_another_bundle(bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x20
    path.write_bytes(data)
    verdict = accept(bundle)
    assert verdict.digest != read_bundle(STARTER).digest
    if name != MANIFEST_NAME:
        assert name in refused(bundle)


@pytest.mark.parametrize("name", FILES[:-1])
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


def constants(model):
    """The bytes of each tensor that the model holds a value of."""
    loaded = Interpreter(model)._interpreter
    for tensor in loaded.get_tensor_details():
        with suppress(ValueError):  # it has none before the model is run
            yield loaded.get_tensor(tensor["index"]).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_other_weights_than_the_golden_vectors_saw_are_refused_whichever_model_has_them(bundle, name):
    model = (bundle / f"{name}.tflite").read_bytes()
    weights = max((one for one in constants(model) if model.count(one) == 1), key=len)
    rewrite_file(bundle, f"{name}.tflite", model.replace(weights, bytes(len(weights))))
    assert f"{golden_of(name).file} case" in refused(bundle)


def test_golden_vectors_beyond_the_tolerance_are_refused_with_the_difference(bundle):
    def shifted(cases):
        return [GoldenCase(cases[0].inputs, [value + 10 for value in cases[0].output]), *cases[1:]]

    rewrite_golden(bundle, shifted)
    assert f"{GOLDEN_FILE} case 0: differs by 10" in refused(bundle)
    assert accept(bundle).worst_difference == pytest.approx(10, abs=TOLERANCE)


@pytest.fixture
def pair(bundle):
    """A bundle with a model of two inputs that it gives back side by side."""
    rewrite_file(bundle, PAIR_FILE, joined({"serving_default_b:0": 2, "serving_default_a:0": 1}))
    rewrite_file(bundle, GOLDEN_FILE, b'[{"inputs":[[1],[2,3]],"output":[2,3,1]}]')
    entry = replace(
        manifest_of().models[0],
        kind="optimization",
        task=None,
        file=PAIR_FILE,
        inputs=[TensorSpec("a", [1, 1], "float32", "one"), TensorSpec("b", [1, 2], "float32", "two")],
        output=TensorSpec("joined", [1, 3], "float32", "three"),
        operators=["CONCATENATION"],
    )
    golden = replace(golden_of(NAME), model="pair")
    rewrite_manifest(bundle, lambda manifest: replace(manifest, models=[entry], golden=[golden]))
    return bundle


def test_inputs_are_asked_in_the_order_of_their_names(pair):
    verdict = accept(pair)
    assert (verdict.reasons, verdict.worst_difference) == ([], 0.0)


@pytest.mark.parametrize(
    ("golden", "why"),
    [
        (GoldenCase([[1e39], [2, 3]], [2, 3, 1]), "not a number"),
        (GoldenCase([[2], [1, 3]], [2, 3, 1]), "case 0: differs by 1"),
        (GoldenCase([[1]], [2, 3, 1]), "[1] and 3 values, the model [1, 2] and 3"),
        (GoldenCase([[2, 3], [1]], [2, 3, 1]), "[2, 1] and 3 values, the model [1, 2] and 3"),
        (GoldenCase([[1], [2, 3]], [2, 3]), "[1, 2] and 2 values, the model [1, 2] and 3"),
    ],
)
def test_golden_vectors_that_do_not_fit_the_model_are_refused(pair, golden, why):
    rewrite_golden(pair, lambda _: [golden])
    assert why in refused(pair)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"inputs": [TensorSpec("a", [1, 1], "float32", ""), TensorSpec("c", [1, 2], "float32", "")]},
            "takes a [1, 1] and b [1, 2], the manifest says a [1, 1] and c [1, 2]",
        ),
        ({"output": TensorSpec("joined", [3], "float32", "")}, "gives [1, 3], the manifest says [3]"),
        ({"operators": ["ADD"]}, "uses CONCATENATION, the manifest says ADD"),
    ],
)
def test_a_model_that_is_another_than_the_manifest_says_is_refused(pair, change, why):
    rewrite_model(pair, "pair", **change)
    assert why in refused(pair)


def test_an_operator_that_is_new_to_the_device_is_refused(bundle, monkeypatch):
    used = manifest_of().models[0].operators
    monkeypatch.setattr("gateway.shell.accept.OPERATORS_ALLOWED", frozenset(used[1:]))
    assert f"operators that are not allowed: {used[0]}" in refused(bundle)


def test_a_model_without_golden_vectors_is_refused(bundle):
    def without(manifest):
        return replace(manifest, golden=[golden for golden in manifest.golden if golden.model != NAME])

    rewrite_manifest(bundle, without)
    assert f"no golden vectors for {NAME}" in refused(bundle)


def test_a_bundle_that_no_gateway_would_ask_is_looked_at_for_evaluation_alone(bundle, capsys):
    spec = energy_spec(60 * MINUTE_US, 24)
    name = forecast_name(spec, "consumption_w")
    rewrite_file(bundle, f"{name}.tflite", b"not a model")
    entry = replace(
        manifest_of().models[0],
        file=f"{name}.tflite",
        inputs=forecast_inputs(spec),
        output=forecast_output(spec),
        task=forecast_task(spec, "consumption_w"),
    )
    rewrite_manifest(bundle, lambda manifest: replace(manifest, models=[entry]))
    asked = f"no gateway asks for {name}"
    assert asked in refused(bundle)
    for options, is_asked in (([], True), (["--any-cadence"], False)):
        assert main(["accept", str(bundle), *options]) == Exit.NOT_VERIFIED
        said = capsys.readouterr().out
        assert "cannot be loaded" in said
        assert (asked in said) == is_asked


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
    assert said.stdout.startswith(f"accepted: bundle {read_bundle(STARTER).digest} release {manifest_of().release}")
