"""The one adapter to TensorFlow Lite: bytes of a model in, arrays in and out. A shell.

`tflite_runtime` where it is installed (Python 3.11), else `ai_edge_litert`. Both must pass the same
golden vectors. A damaged model can abort the process: only the model host and the cold acceptance
check, each a process of its own, may use this.
"""

import importlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.contract.inputs import F32
from gateway.contract.manifest import INPUTS_MAX

# More threads than one spin against the polling: 28 to 900 ms for a model that takes 0.1 ms alone.
THREADS = 1
# What a delegate adds for itself to the list of operators; the model does not hold it.
_DELEGATE = "DELEGATE"
# A converter wraps the name that a tensor was given: "serving_default_recent:0" was called "recent".
_WRAPPED_NAME = re.compile(r"(?:serving_default_)?(?P<name>.*?)(?::\d+)?", re.DOTALL)


class RuntimeUnusableError(Exception):
    """This machine cannot run models: a package is missing or does not fit."""


class ModelError(Exception):
    """The model cannot be used: damaged, of other than float32 tensors, or asked with other shapes."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A float32 tensor at the edge of a model: the name it was given, and where the runtime keeps it."""

    name: str
    shape: tuple[int, ...]
    index: int


class Interpreter:
    """One model, loaded, with its tensors allocated. Not for two threads at once.

    `inputs` are in the order of their names, whatever order the converter left them in.
    """

    def __init__(self, model: bytes) -> None:
        """Load `model`, the bytes of a `.tflite` file.

        Raises:
            RuntimeUnusableError: no runtime is installed, or it does not fit this numpy.
            ModelError: the runtime refuses the model, or it has other edges than a model of ours.
        """
        make = _runtime()
        try:
            self._interpreter = make(model_content=model, num_threads=THREADS)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"the model cannot be loaded: {' '.join(str(error).split())}") from error
        self.inputs = _edges("input", self._interpreter.get_input_details(), INPUTS_MAX)
        (self.output,) = _edges("output", self._interpreter.get_output_details(), 1)

    def predict(self, tensors: Sequence[F32]) -> F32:
        """The model's output for `tensors`, float32 in the order and shapes of `inputs`; a copy.

        Raises:
            ModelError: another number, shape or type of tensors, or the model failed.
        """
        if len(tensors) != len(self.inputs):
            raise ModelError(f"the model takes {len(self.inputs)} tensors, not {len(tensors)}")
        for tensor, edge in zip(tensors, self.inputs, strict=True):
            if tensor.shape != edge.shape or tensor.dtype != np.float32:
                raise ModelError(
                    f"the model takes {edge.name} as float32 {list(edge.shape)},"
                    f" not {tensor.dtype} {list(tensor.shape)}"
                )
        try:
            for tensor, edge in zip(tensors, self.inputs, strict=True):
                self._interpreter.set_tensor(edge.index, np.ascontiguousarray(tensor))
            self._interpreter.invoke()
            output: F32 = self._interpreter.get_tensor(self.output.index)
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


def _edges(which: str, details: list[dict[str, Any]], count_max: int) -> tuple[Edge, ...]:
    """The tensors at this edge of the model, in the order of their names."""
    if not 1 <= len(details) <= count_max or any(one["dtype"] != np.float32 for one in details):
        raise ModelError(f"the model must have float32 {which}s, at most {count_max}")
    edges = [_edge(one) for one in details]
    if len({edge.name for edge in edges}) < len(edges):
        raise ModelError(f"the model has {which}s of one name: {', '.join(edge.name for edge in edges)}")
    return tuple(sorted(edges, key=lambda edge: edge.name))


def _edge(details: dict[str, Any]) -> Edge:
    wrapped = _WRAPPED_NAME.fullmatch(str(details["name"]))
    assert wrapped is not None, "every text matches"
    return Edge(wrapped["name"], tuple(int(size) for size in details["shape"]), int(details["index"]))
