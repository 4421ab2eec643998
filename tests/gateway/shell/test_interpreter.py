import numpy as np
import pytest

from gateway.contract.manifest import decode_golden
from gateway.shell import interpreter
from gateway.shell.interpreter import Interpreter, ModelError, RuntimeUnusableError
from tests.sim.starter_bundle import GOLDEN_FILE, MODEL_FILE, STARTER, golden_case

MODEL = (STARTER / MODEL_FILE).read_bytes()


def test_the_starter_model_says_what_its_golden_vectors_say():
    loaded = Interpreter(MODEL)
    for case in decode_golden((STARTER / GOLDEN_FILE).read_bytes()):
        output = loaded.predict(np.array(case.input, dtype=np.float32).reshape(loaded.input_shape))
        assert output.ravel() == pytest.approx(np.array(case.output), abs=1e-4)


def test_an_output_is_a_copy_that_the_next_question_leaves_alone():
    loaded = Interpreter(MODEL)
    tensor, wanted = golden_case()
    first = loaded.predict(tensor)
    loaded.predict(np.zeros_like(tensor))
    assert first == pytest.approx(wanted, abs=1e-4)


def test_a_tensor_in_another_memory_order_gives_the_same():
    loaded = Interpreter(MODEL)
    tensor, _ = golden_case()
    assert (loaded.predict(np.asfortranarray(tensor)) == loaded.predict(tensor)).all()


@pytest.mark.parametrize("shape", [(1, 96, 25), (96, 26), (2, 96, 26), ()])
def test_another_shape_is_refused(shape):
    with pytest.raises(ModelError, match=r"float32 \[1, 96, 26\]"):
        Interpreter(MODEL).predict(np.zeros(shape, dtype=np.float32))


def test_another_type_is_refused():
    with pytest.raises(ModelError, match="not float64"):
        Interpreter(MODEL).predict(np.zeros((1, 96, 26)))  # type: ignore[arg-type]


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(ModelError, match="cannot be loaded"):
        Interpreter(b"not a model")


def test_the_operators_are_those_of_a_small_dense_network():
    assert Interpreter(MODEL).operators() == ["ADD", "FULLY_CONNECTED"]


def test_numpy_2_beside_tflite_runtime_is_named_before_anything_is_loaded(monkeypatch):
    if interpreter.importlib.util.find_spec("tflite_runtime") is None:
        pytest.skip("this machine has LiteRT, which takes any numpy")
    monkeypatch.setattr(np, "__version__", "2.4.1")
    with pytest.raises(RuntimeUnusableError, match=r"numpy below 2, this is 2\.4\.1"):
        Interpreter(MODEL)
