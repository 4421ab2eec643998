import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW, MINUTE_US, SPECS, energy_spec
from gateway.contract.inputs import input_digest
from gateway.contract.manifest import (
    FILE_BYTES_MAX,
    FILES_MAX,
    INPUTS_MAX,
    MANIFEST_BYTES_MAX,
    BundleManifest,
    FileEntry,
    GoldenVectors,
    ManifestError,
    ModelEntry,
    TensorSpec,
    Training,
    bundle_digest,
    check_file,
    decode_golden,
    decode_manifest,
    encode_manifest,
    forecast_inputs,
    forecast_name,
    forecast_output,
    forecast_spec,
    forecast_task,
    is_askable,
)


def entry(spec, target="consumption_w"):
    """A forecaster as the trainer describes it."""
    return ModelEntry(
        kind=spec.kind,
        file=f"{forecast_name(spec, target)}.tflite",
        inputs=forecast_inputs(spec),
        output=forecast_output(spec),
        operators=["ADD", "FULLY_CONNECTED"],
        form="int8",
        form_reason="the smallest within 2 %",
        task=forecast_task(spec, target),
    )


MODELS = [entry(ENERGY), entry(ENERGY, "production_w"), entry(LOAD)]
FILES = [*(model.file for model in MODELS), "golden.json"]
GOOD = encode_manifest(
    BundleManifest(
        schema=2,
        release=7,
        created_us=1_700_000_000_000_000,
        gateway_min="0.1.0",
        input_digest=input_digest(),
        files={name: FileEntry("0" * 64, 1) for name in FILES},
        models=MODELS,
        golden=[GoldenVectors(MODELS[0].name, "golden.json", 0.01)],
        training=Training("train", "a site", 0, 1, {"mae": 0.5}),
    )
)
ENTRY = {"sha256": "0" * 64, "size": 1}
TENSOR = {"name": "weather", "shape": [1], "dtype": "float32", "meaning": ""}


def changed(path, value):
    """The good manifest with the value at `path` replaced, or removed when it is None."""
    tree = json.loads(GOOD)
    *parents, last = path
    node = tree
    for key in parents:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return json.dumps(tree).encode()


def test_a_manifest_survives_decoding_and_encoding_byte_for_byte():
    assert encode_manifest(decode_manifest(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("schema",), 1, "schema"),
        (("release",), -1, "release"),
        (("release",), "1", "release"),
        (("release",), None, "release"),
        (("input_digest",), "0" * 64, "made for inputs 000000000000"),
        (("input_digest",), "xyz", "input_digest"),
        (("surprise",), 1, "surprise"),
        (("models",), [], "models"),
        (("golden",), [], "golden"),
        (("golden", 0, "tolerance"), 0, "tolerance"),
        (("golden", 0, "tolerance"), 1.0, "tolerance"),
        (("golden", 0, "file"), "other.json", "other.json"),
        (("models", 0, "file"), "other.tflite", "other.tflite"),
        (("models", 0, "kind"), "weather", "kind"),
        (("models", 0, "form"), "int4", "form"),
        (("models", 0, "inputs"), [], "inputs"),
        (("models", 0, "inputs"), [TENSOR] * (INPUTS_MAX + 1), "inputs"),
        (("models", 0, "inputs", 1, "name"), "recent", "or one twice"),
        (("models", 0, "inputs", 0, "name"), "yesterday", "not in order"),
        (("models", 0, "inputs", 0, "name"), "../evil", "name"),
        (("models", 0, "inputs", 0, "name"), "past", "past [1, 336]"),
        (("models", 0, "inputs", 0, "shape"), [1, 335], "[1, 335]"),
        (("models", 0, "inputs", 0, "dtype"), "int8", "dtype"),
        (("models", 0, "output", "shape"), [1, 96], "[1, 96]"),
        (("models", 0, "task"), None, "does not say of what"),
        (("models", 0, "task", "target"), "gas_m3", "target"),
        (("models", 0, "task", "target"), "production_w", "asked for as energy_forecast_production_96x15min"),
        (("models", 0, "task", "step_us"), 7 * MINUTE_US, "part of a day"),
        (("models", 0, "task", "horizon_steps"), 0, "forecasts what cannot be"),
        (("models", 0, "task", "horizon_steps"), 95, "this gateway needs"),
        (("models", 0, "task", "quantiles"), [0.9, 0.1], "do not rise"),
        (("models", 0, "task", "quantiles"), [0.1, 0.5], "this gateway needs"),
        (("models", 0, "task", "has_peak"), True, "this gateway needs"),
        (("models", 0, "task", "recent_steps"), 10**12, "leave no week"),
        (("models", 0, "kind"), "load_prediction", "asked for as load_prediction_consumption_96x15min"),
        (("files", "../evil.json"), ENTRY, "files"),
        (("files", "/etc/passwd.json"), ENTRY, "files"),
        (("files", "manifest.json\n"), ENTRY, "files"),
        (("files", "program.sh"), ENTRY, "files"),
        (("files", "golden.json", "size"), FILE_BYTES_MAX + 1, "size"),
        (("files", "golden.json", "size"), 0, "size"),
        (("files", "golden.json", "sha256"), "A" * 64, "sha256"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused_and_the_field_named(path, value, said):
    with pytest.raises(ManifestError, match=r"(?s).") as refusal:
        decode_manifest(changed(path, value))
    assert said in str(refusal.value)


def test_a_model_that_is_named_twice_is_refused():
    tree = json.loads(GOOD)
    tree["models"].append(tree["models"][0])
    with pytest.raises(ManifestError, match=f"twice: {MODELS[0].name}, {MODELS[0].name}"):
        decode_manifest(json.dumps(tree).encode())


@pytest.mark.parametrize(
    ("spec", "target", "name"),
    [
        (ENERGY, "consumption_w", "energy_forecast_consumption_96x15min"),
        (ENERGY, "production_w", "energy_forecast_production_96x15min"),
        (LOAD, "consumption_w", "load_prediction_consumption_12x5min"),
        (LOAD_SLOW, "consumption_w", "load_prediction_consumption_4x15min"),
    ],
)
def test_what_a_forecaster_forecasts_is_in_its_name_and_comes_back_from_its_task(spec, target, name):
    made = entry(spec, target)
    assert made.name == name
    assert made.task is not None
    assert forecast_spec(made.kind, made.task) == spec


def test_a_gateway_asks_forecasters_of_its_own_cadences_and_every_model_of_another_kind():
    assert all(is_askable(entry(spec)) for spec in SPECS)
    assert not is_askable(entry(energy_spec(60 * MINUTE_US, 24)))
    tensor = TensorSpec("state", [1, 3], "float32", "")
    assert is_askable(ModelEntry("optimization", "optimization.tflite", [tensor], tensor, [], "float32", ""))


def test_too_many_files_are_refused():
    tree = json.loads(GOOD)
    tree["files"] |= {f"file_{number}.json": ENTRY for number in range(FILES_MAX)}
    with pytest.raises(ManifestError, match=f"more than {FILES_MAX}"):
        decode_manifest(json.dumps(tree).encode())


def test_too_large_a_manifest_is_refused_unread():
    with pytest.raises(ManifestError, match="more than"):
        decode_manifest(b" " * (MANIFEST_BYTES_MAX + 1))


@pytest.mark.parametrize("end", range(0, len(GOOD) - 1, 97))
def test_a_truncated_manifest_is_refused(end):
    with pytest.raises(ManifestError):
        decode_manifest(GOOD[:end])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_is_refused_or_names_another_bundle(position, flip):
    data = bytearray(GOOD)
    data[position] ^= flip
    assert bundle_digest(bytes(data)) != bundle_digest(GOOD)
    with suppress(ManifestError):
        decode_manifest(bytes(data))


@given(st.binary(max_size=300) | st.sampled_from([b"[" * 10_000, b'{"models":' + b"[" * 10_000, b'{"x":' * 5_000]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_manifest_or_a_manifest_error(data):
    for decode in (decode_manifest, decode_golden):
        with suppress(ManifestError):
            decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"",
        b"{}",
        b"[NaN]",
        b'[{"inputs":[[1]]}]',
        b'[{"inputs":[1],"output":[1]}]',
        b'[{"inputs":[[1]],"output":["x"]}]',
    ],
)
def test_golden_vectors_that_are_none_are_refused(data):
    with pytest.raises(ManifestError):
        decode_golden(data)


@pytest.mark.parametrize(("data", "said"), [(b"ab", "2 bytes"), (b"abcd", "4 bytes"), (b"abx", "SHA-256")])
def test_a_file_that_is_not_the_one_meant_is_refused_by_name(data, said):
    entry = FileEntry("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)
    check_file("a.json", b"abc", entry)
    with pytest.raises(ManifestError, match=f"a.json.*{said}"):
        check_file("a.json", data, entry)
