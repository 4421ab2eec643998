"""Keras weights become a TensorFlow Lite file, in a process of its own with a time limit.

The converter has been seen to abort, to crash and to hang, and a second conversion in one process
gives other bytes. It has also been seen to write files without weights, silently: whoever converts
proves the result with the production acceptance (`bundle.prove`), which never shares a process with
TensorFlow, for the two do not tolerate each other.

Float32, not int8: at 26 kB the size does not matter, and it is the fastest form on tflite-runtime.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

# Loading TensorFlow takes 5 s and the conversion 2 s on a PC; far above is a hang.
CONVERT_S_MAX = 180.0
# What native code prints before it dies; enough to find the cause, and no more.
_LAST_WORDS_CHARACTERS = 600


class ConversionError(Exception):
    """The converter failed, or wrote what cannot be the model."""


def convert(weights: Path, parameters: int) -> bytes:
    """The `.tflite` file of the step-MLP with `weights`.

    Args:
        weights: a `.weights.h5` file.
        parameters: how many numbers it holds; a smaller file has lost them.

    Raises:
        ConversionError: it failed, took too long, or lost the weights.
    """
    target = weights.with_suffix(".tflite")
    command = [sys.executable, "-m", "cloud_trainer.convert", str(weights), str(target)]
    try:
        ended = subprocess.run(
            command,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CONVERT_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"the conversion took more than {CONVERT_S_MAX:g} s and was killed") from error
    if ended.returncode != 0:
        last_words = ended.stderr[-_LAST_WORDS_CHARACTERS:]
        raise ConversionError(f"the conversion ended with {ended.returncode}: {last_words}")
    model = target.read_bytes()
    if len(model) < 4 * parameters:
        raise ConversionError(f"{len(model)} bytes cannot hold {parameters} weights: the converter lost them")
    return model


def _convert_here(weights: Path, target: Path) -> None:
    """The work itself, in the child."""
    import tensorflow as tf

    from cloud_trainer.models import step_mlp

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    model = step_mlp(batch=1)
    model.load_weights(weights)
    # Not from_concrete_functions: with Keras 3 it writes a file without weights.
    target.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


if __name__ == "__main__":
    _convert_here(Path(sys.argv[1]), Path(sys.argv[2]))
