"""The one adapter to TensorFlow Lite: bytes of a model in, arrays in and out. A shell.

`tflite_runtime` where it is installed (Python 3.11), else `ai_edge_litert`. Both must pass the same
golden vectors. A damaged model can abort the process: only the model host and the cold acceptance
check, each a process of its own, may use this.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from gateway.contract.inputs import F32

# More threads than one spin against the polling: 28 to 900 ms for a model that takes 0.1 ms alone.
THREADS = 1
# What a delegate adds for itself to the list of operators; the model does not hold it.
_DELEGATE = "DELEGATE"


class RuntimeUnusableError(Exception):
    """This machine cannot run models: a package is missing or does not fit."""


class ModelError(Exception):
    """The model cannot be used: damaged, not of one float32 tensor each way, or asked with another shape."""


class Interpreter:
    """One model, loaded, with its tensors allocated. Not for two threads at once."""

    def __init__(self, model: bytes) -> None:
        """Load `model`, the bytes of a `.tflite` file.

        Raises:
            RuntimeUnusableError: no runtime is installed, or it does not fit this numpy.
            ModelError: the runtime refuses the model, or it has other than one float32 input and output.
        """
        make = _runtime()
        try:
            self._interpreter = make(model_content=model, num_threads=THREADS)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"the model cannot be loaded: {' '.join(str(error).split())}") from error
        self._input, self.input_shape = _only_tensor("input", self._interpreter.get_input_details())
        self._output, self.output_shape = _only_tensor("output", self._interpreter.get_output_details())

    def predict(self, tensor: F32) -> F32:
        """The model's output for `tensor`, both float32 in the model's own shapes; a copy.

        Raises:
            ModelError: another shape or type, or the model failed.
        """
        if tensor.shape != self.input_shape or tensor.dtype != np.float32:
            raise ModelError(
                f"the model takes float32 {list(self.input_shape)}, not {tensor.dtype} {list(tensor.shape)}"
            )
        try:
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(tensor))
            self._interpreter.invoke()
            output: F32 = self._interpreter.get_tensor(self._output)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"the model failed: {' '.join(str(error).split())}") from error
        return output

    def operators(self) -> list[str] | None:
        """Names of the operators the model uses, sorted; None where the runtime does not tell."""
        # The runtime has no public way to ask.
        details = getattr(self._interpreter, "_get_ops_details", None)
        if details is None:
            return None
        return sorted({str(operator["op_name"]) for operator in details()} - {_DELEGATE})


def _runtime() -> Callable[..., Any]:
    """The interpreter class of the installed runtime."""
    if importlib.util.find_spec("tflite_runtime") is not None:
        # With numpy 2 the import succeeds and the interpreter fails with an unreadable error.
        if int(np.__version__.split(".")[0]) >= 2:
            raise RuntimeUnusableError(
                f"tflite-runtime needs numpy below 2, this is {np.__version__}: install 'numpy>=1.26,<2'"
            )
        name = "tflite_runtime.interpreter"
    elif importlib.util.find_spec("ai_edge_litert") is not None:
        name = "ai_edge_litert.interpreter"
    else:
        raise RuntimeUnusableError("no model runtime is installed: install smartwatts-edge[gateway]")
    make: Callable[..., Any] = importlib.import_module(name).Interpreter
    return make


def _only_tensor(which: str, details: list[dict[str, Any]]) -> tuple[int, tuple[int, ...]]:
    """Index and shape of the one tensor at this edge of the model."""
    if len(details) != 1 or details[0]["dtype"] != np.float32:
        raise ModelError(f"the model must have one float32 {which}")
    return details[0]["index"], tuple(int(size) for size in details[0]["shape"])
