import numpy as np
import pytest

from cloud_trainer.convert import ConversionError, convert
from cloud_trainer.form_trials import Validation, settle_form
from gateway.contract.forecast_spec import LOAD_SLOW
from gateway.contract.inputs import CHANNELS, Inputs

EXAMPLES = Inputs(np.zeros((2, 3), np.float32), np.zeros((2, 4, 5), np.float32))
# What the child does before it converts, as a shell script: two weights, and what Keras says to both examples.
PREPARED = """
folder="$3"; shift 3
python3 -c "
import struct, sys
head = b\\"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1), }\\"
head += b' ' * (117 - len(head)) + b'\\n'
open('$folder/said.npy', 'wb').write(b'\\x93NUMPY\\x01\\x00' + struct.pack('<H', len(head)) + head + bytes(8))
"
tell() { printf '{"parameters":2,"operators":{%s}}' "$1" > "$folder/facts.json"; }
"""


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """Put a shell script in the converter's place; `$@` are the forms."""

    def replace_by(script):
        program = tmp_path / "converter"
        program.write_text(f"#!/bin/sh\n{PREPARED}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr("cloud_trainer.convert.sys.executable", str(program))
        model = tmp_path / "best.keras"
        model.write_bytes(b"a model")
        return model

    return replace_by


@pytest.mark.slow
def test_what_the_converter_writes_is_the_model(converter):
    model = converter('printf "12345678" > "$folder/float32.tflite"; tell \'"float32":["ADD"]\'')
    conversion = convert(model, EXAMPLES, ["float32"])
    file = conversion.files["float32"]
    assert (file.data, file.operators, conversion.parameters, conversion.problems) == (b"12345678", ["ADD"], 2, {})
    assert conversion.said.shape == (2, 1, 1)


@pytest.mark.slow
def test_a_form_that_kills_the_converter_takes_no_other_along(converter):
    script = """
    for form in "$@"; do
        if [ $form = float16 ]; then printf "LLVM ERROR: no types" >&2; exit 3; fi
        printf 12345678 > "$folder/$form.tflite"; tell '"float32":["ADD"],"int8":["ADD"]'
    done"""
    conversion = convert(converter(script), EXAMPLES)
    assert list(conversion.files) == ["float32", "int8"]
    assert conversion.problems == {"float16": "the conversion ended with 3: LLVM ERROR: no types"}


@pytest.mark.slow
def test_a_converter_that_makes_nothing_is_told_with_its_last_words(converter):
    with pytest.raises(ConversionError, match="float32: the conversion ended with 3: no memory"):
        convert(converter('printf "no memory" >&2; exit 3'), EXAMPLES)


@pytest.mark.slow
def test_a_converter_that_hangs_is_killed(converter, monkeypatch):
    monkeypatch.setattr("cloud_trainer.convert.CONVERT_S_MAX", 0.5)
    with pytest.raises(ConversionError, match=r"more than 0\.5 s"):
        convert(converter("exec tail -f /dev/null"), EXAMPLES, ["float32"])


@pytest.mark.slow
def test_a_file_without_weights_is_refused(converter):
    script = 'printf "1234567" > "$folder/float32.tflite"; tell \'"float32":["ADD"]\''
    with pytest.raises(ConversionError, match="7 bytes cannot hold 2 weights"):
        convert(converter(script), EXAMPLES, ["float32"])


def tiny_model(seed):
    """In the shape of the forecasters: a linear layer whose forecast becomes a channel, one tower, a head."""
    from tensorflow import keras

    spec, layers = LOAD_SLOW, keras.layers
    keras.utils.set_random_seed(seed)
    recent, steps = keras.Input((spec.recent_steps,), name="recent"), keras.Input((spec.rows, CHANNELS), name="steps")
    ahead = layers.Reshape((spec.rows, 1))(layers.Dense(spec.rows)(recent))
    seen = layers.Concatenate()([steps, ahead])
    hidden = layers.Dense(16, activation="relu")(seen)
    hidden = layers.Add()([hidden, layers.Dense(16, activation="relu")(hidden)])
    return keras.Model([recent, steps], layers.Dense(len(spec.quantiles))(layers.Concatenate()([hidden, seen])))


@pytest.mark.tf
def test_a_model_becomes_three_files_that_say_what_keras_says_and_are_the_same_when_made_again(tmp_path):
    spec, rng = LOAD_SLOW, np.random.default_rng(1)
    examples = Inputs(
        rng.standard_normal((200, spec.recent_steps)).astype(np.float32),
        rng.standard_normal((200, spec.rows, CHANNELS)).astype(np.float32),
    )
    for name in ("first", "again"):  # the layers of the second have other names
        tiny_model(seed=3).save(tmp_path / f"{name}.keras")
    conversion = convert(tmp_path / "first.keras", examples)
    assert conversion.problems == {}
    assert {form: "QUANTIZE" in file.operators for form, file in conversion.files.items()} == {
        "float32": False,
        "float16": False,
        "int8": True,
    }
    again = convert(tmp_path / "again.keras", examples, ["int8", "float32"])
    assert again.files == {form: conversion.files[form] for form in ("int8", "float32")}

    validation = Validation(examples, conversion.said[..., spec.median].astype(np.float64))
    settled = settle_form(conversion, spec, "consumption_w", validation)
    assert [trial.problem for trial in settled.trials] == ["", "", ""]
    assert settled.trials[0].worst_difference < 1e-4 < settled.trials[2].worst_difference
    assert settled.trials[0].bytes > settled.trials[1].bytes
