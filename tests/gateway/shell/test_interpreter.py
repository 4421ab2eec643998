import numpy as np
import pytest

from gateway.contract.manifest import INPUTS_MAX
from gateway.shell import interpreter
from gateway.shell.interpreter import Interpreter, ModelError, RuntimeUnusableError
from tests.sim.starter_bundle import (
    MODEL_FILE,
    NAMES,
    STARTER,
    golden_case,
    golden_cases,
    golden_of,
    manifest_of,
)
from tests.sim.tiny_model import INT32, joined

MODEL = (STARTER / MODEL_FILE).read_bytes()
# As a converter names and orders them: "b" was made first.
PAIR = joined({"serving_default_b:0": 2, "serving_default_a:0": 3})


@pytest.mark.parametrize("name", NAMES)
def test_every_model_of_the_starter_bundle_says_what_its_golden_vectors_say(name):
    loaded = Interpreter((STARTER / f"{name}.tflite").read_bytes())
    for inputs, wanted in golden_cases(name):
        assert loaded.predict(inputs) == pytest.approx(wanted, abs=golden_of(name).tolerance)


@pytest.mark.parametrize("model", manifest_of().models, ids=lambda model: model.name)
def test_names_shapes_and_operators_are_those_of_the_manifest(model):
    loaded = Interpreter((STARTER / model.file).read_bytes())
    assert [(edge.name, list(edge.shape)) for edge in loaded.inputs] == [
        (one.name, one.shape) for one in model.inputs
    ]
    assert list(loaded.output.shape) == model.output.shape
    assert loaded.operators() == sorted(model.operators)


def test_inputs_are_in_the_order_of_their_names_whatever_the_converter_made_first():
    loaded = Interpreter(PAIR)
    assert [(edge.name, edge.shape) for edge in loaded.inputs] == [("a", (1, 3)), ("b", (1, 2))]
    a, b = np.array([[1, 2, 3]], np.float32), np.array([[4, 5]], np.float32)
    assert loaded.predict([a, b]).tolist() == [[4, 5, 1, 2, 3]]


@pytest.mark.parametrize("count", range(1, INPUTS_MAX + 1))
def test_a_model_may_have_so_many_inputs(count):
    loaded = Interpreter(joined({f"part{number}": 1 for number in range(count)}))
    tensors = [np.full((1, 1), number, np.float32) for number in range(count)]
    assert loaded.predict(tensors).tolist() == [list(range(count))]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (joined({f"part{number}": 1 for number in range(INPUTS_MAX + 1)}), "at most 4"),
        (joined({"a": 1}, element=INT32), "float32 inputs"),
        (joined({"a:0": 1, "a:1": 1}), "of one name"),
        (b"not a model", "cannot be loaded"),
        (b"", "cannot be loaded"),
    ],
)
def test_a_model_of_other_edges_than_ours_is_refused(model, said):
    with pytest.raises(ModelError, match=said):
        Interpreter(model)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_tensors_is_refused(count):
    with pytest.raises(ModelError, match=f"2 tensors, not {count}"):
        Interpreter(PAIR).predict([np.zeros((1, 3), np.float32)] * count)


@pytest.mark.parametrize("shape", [(1, 4), (3,), (2, 3), ()])
def test_another_shape_is_refused_by_name(shape):
    with pytest.raises(ModelError, match=r"takes a as float32 \[1, 3\]"):
        Interpreter(PAIR).predict([np.zeros(shape, np.float32), np.zeros((1, 2), np.float32)])


def test_another_type_is_refused():
    with pytest.raises(ModelError, match=r"takes b .*not float64"):
        Interpreter(PAIR).predict([np.zeros((1, 3), np.float32), np.zeros((1, 2))])  # type: ignore[list-item]


def test_an_output_is_a_copy_that_the_next_question_leaves_alone():
    loaded = Interpreter(MODEL)
    inputs, _ = golden_case()
    first = loaded.predict(inputs)
    kept = first.copy()
    loaded.predict([np.zeros_like(one) for one in inputs])
    assert (first == kept).all()


def test_a_tensor_in_another_memory_order_gives_the_same():
    loaded = Interpreter(MODEL)
    inputs, _ = golden_case()
    assert (loaded.predict([np.asfortranarray(one) for one in inputs]) == loaded.predict(inputs)).all()


def test_numpy_2_beside_tflite_runtime_is_named_before_anything_is_loaded(monkeypatch):
    if interpreter.importlib.util.find_spec("tflite_runtime") is None:
        pytest.skip("this machine has LiteRT, which takes any numpy")
    monkeypatch.setattr(np, "__version__", "2.4.1")
    with pytest.raises(RuntimeUnusableError, match=r"numpy below 2, this is 2\.4\.1"):
        Interpreter(MODEL)
