"""A Keras model becomes TensorFlow Lite files, one for each form, in a process of its own with a time limit.

The converter has been seen to abort, to crash and to hang; whatever it does, it does to its own process.
What was written before counts, and the forms after the one that killed it get another process. It has also
been seen to write files without weights, silently: a file too small for its weights is refused here, and
whoever converts proves the rest in the production host (`form_trials`), which never shares a process with
TensorFlow, for the two do not tolerate each other.

The same model gives the same bytes: names of layers go into the file, and Keras counts them per process, so
the model is rebuilt with names of ours, for one window at a time, as TensorFlow Lite wants it.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cloud_trainer.examples import rounded
from cloud_trainer.form import FORMS
from gateway.contract.inputs import F32, Inputs
from gateway.contract.manifest import Form

# Loading TensorFlow takes 5 s and each form 1 s on a PC; far above is a hang.
CONVERT_S_MAX = 180.0
# What native code prints before it dies; enough to find the cause, and no more.
_LAST_WORDS_CHARACTERS = 600
# A weight has at least so many bytes: a file with less has lost some.
_WEIGHT_BYTES: dict[Form, int] = {"float32": 4, "float16": 2, "int8": 1}
# What parent and child exchange in a folder.
_MODEL, _EXAMPLES, _SAID, _FACTS = "model.keras", "examples.npz", "said.npy", "facts.json"


class ConversionError(Exception):
    """The converter failed, or wrote what cannot be the model."""


@dataclass(frozen=True, slots=True)
class ConvertedFile:
    """One form of the model: the bytes of its `.tflite` file, and the operators it uses, sorted."""

    form: Form
    data: bytes
    operators: list[str]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What the converter made of one model. `problems` says of the forms it did not make why."""

    files: dict[Form, ConvertedFile]
    problems: dict[Form, str]
    parameters: int
    examples: Inputs
    said: F32  # what Keras says to the examples, `[n, rows, quantiles]`


class _Facts(msgspec.Struct):
    """What the child tells of the model."""

    parameters: int = 0
    operators: dict[Form, list[str]] = {}


def convert(model: Path, examples: Inputs, forms: Sequence[Form] = FORMS) -> Conversion:
    """All `forms` of the Keras model in the file `model`.

    Args:
        model: a `.keras` file of stock layers, inputs `recent` and `steps`, of any batch size.
        examples: windows spread over seasons, hours and levels, `[n, ...]`: int8 takes its ranges from them,
            and what Keras says to them, rounded, is what the files are compared with.
        forms: which to make.

    Raises:
        ConversionError: none could be made.
    """
    files: dict[Form, ConvertedFile] = {}
    problems: dict[Form, str] = {}
    examples = rounded(examples)
    with tempfile.TemporaryDirectory(prefix="smartwatts-convert-") as scratch:
        folder = Path(scratch)
        shutil.copyfile(model, folder / _MODEL)
        np.savez(folder / _EXAMPLES, **examples._asdict())
        missing = list(forms)
        while missing:
            problem = _run_child(folder, missing)
            made = [form for form in missing if (folder / f"{form}.tflite").exists()]
            missing = missing[len(made) :]
            if missing:
                problems[missing.pop(0)] = problem or "the converter wrote nothing"
        facts = _read_facts(folder)
        for form in forms:
            if form not in problems:
                data = (folder / f"{form}.tflite").read_bytes()
                files[form] = ConvertedFile(form, data, facts.operators[form])
                if problem := _lost_weights(files[form], facts.parameters):
                    problems[form] = problem
                    del files[form]
        if not files:
            raise ConversionError("; ".join(f"{form}: {problem}" for form, problem in problems.items()))
        said: F32 = np.load(folder / _SAID)
    return Conversion(files, problems, facts.parameters, examples, said)


def _run_child(folder: Path, forms: Sequence[Form]) -> str:
    """Convert in a process of its own; what went wrong, or nothing."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "cloud_trainer.convert", str(folder), *forms],
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CONVERT_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the conversion took more than {CONVERT_S_MAX:g} s and was killed"
    if ended.returncode == 0:
        return ""
    return f"the conversion ended with {ended.returncode}: {ended.stderr[-_LAST_WORDS_CHARACTERS:].strip()}"


def _read_facts(folder: Path) -> _Facts:
    """What a child has told so far."""
    path = folder / _FACTS
    return msgspec.json.decode(path.read_bytes(), type=_Facts) if path.exists() else _Facts()


def _lost_weights(file: ConvertedFile, parameters: int) -> str:
    least = parameters * _WEIGHT_BYTES[file.form]
    return (
        f"{len(file.data)} bytes cannot hold {parameters} weights, which take {least}"
        if len(file.data) < least
        else ""
    )


def _convert_here(folder: Path, forms: Sequence[Form]) -> None:
    """The work itself, in the child: each form is on the disk before the next one begins."""
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    model = tf.keras.models.load_model(folder / _MODEL, compile=False)
    with np.load(folder / _EXAMPLES) as stored:
        examples = Inputs(**stored)
    said = model.predict(dict(examples._asdict()), verbose=0)
    facts = _read_facts(folder)  # another process may have been here before, and died
    facts.parameters = model.count_params()
    np.save(folder / _SAID, said.astype(np.float32))
    single = _for_one_window(tf.keras, model)
    for form in forms:
        data = _converted(tf, single, form, examples)
        facts.operators[form] = _operators(data)
        (folder / f"{form}.draft").write_bytes(data)
        (folder / _FACTS).write_bytes(msgspec.json.encode(facts))
        (folder / f"{form}.draft").rename(folder / f"{form}.tflite")


def _for_one_window(keras: Any, model: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """The same model for a batch of one, with names that do not depend on what was built before."""
    twins: list[tuple[Any, Any]] = []

    def twin(layer: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
        made = layer.__class__.from_config(layer.get_config() | {"name": f"layer_{len(twins)}"})
        twins.append((layer, made))
        return made

    inputs = [keras.Input(one.shape[1:], batch_size=1, name=one.name) for one in model.inputs]
    single = keras.models.clone_model(model, input_tensors=inputs, clone_function=twin)
    for layer, made in twins:
        made.set_weights(layer.get_weights())
    single.name = "forecast"
    return single


def _converted(tf: Any, single: Any, form: Form, examples: Inputs) -> bytes:  # noqa: ANN401 - TensorFlow has no types
    # Not from_concrete_functions: with Keras 3 it writes a file without weights.
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    if form != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form == "int8":
        order = [one.name for one in single.inputs]

        def representative() -> Iterator[list[F32]]:
            tensors = examples._asdict()
            for row in range(len(examples.recent)):
                yield [tensors[name][row : row + 1] for name in order]

        converter.representative_dataset = representative
        # Only whole numbers inside; the edges stay float32 and the file holds how to get from one to the other.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    data: bytes = converter.convert()
    return data


def _operators(data: bytes) -> list[str]:
    """Names of the operators in the file, sorted."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    codes = [model.OperatorCodes(number) for number in range(model.OperatorCodesLength())]
    return sorted({names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes})


if __name__ == "__main__":
    _convert_here(Path(sys.argv[1]), [form for form in FORMS if form in sys.argv[2:]])
