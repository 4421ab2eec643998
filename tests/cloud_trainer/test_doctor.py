import sys

import pytest

from cloud_trainer.doctor import MEMORY_MB_MIN, Acceptance, Machine, examined
from cloud_trainer.runtimes import Runtime

TFLITE = Acceptance(Runtime("/one/python", "tflite-runtime", "2.14.0", "1.26.4"))
LITERT = Acceptance(Runtime("/other/python", "ai-edge-litert", "2.3.0", "2.4.6"))
SOFTWARE = {"Python": "3.11.7", "TensorFlow": "2.21.0"}


def machine(*acceptances, problems=()):
    return Machine(SOFTWARE, [], [*acceptances], 2, 8_000, [*problems])


def test_a_machine_with_both_runtimes_is_told_in_a_few_lines():
    found = machine(TFLITE, LITERT)
    assert found.is_fit
    assert found.lines() == [
        "Python 3.11.7, TensorFlow 2.21.0",
        "GPUs: none, the processor trains",
        "2 cores, 8000 MB of memory",
        "tflite-runtime 2.14.0 in /one/python: accepts bundles",
        "ai-edge-litert 2.3.0 in /other/python: accepts bundles",
    ]


def test_one_runtime_is_enough_to_begin_and_what_is_wrong_is_not():
    assert "proven in one runtime alone" in machine(TFLITE).lines()[-1]
    assert machine(TFLITE).is_fit
    wrong = machine(TFLITE, problems=["TensorFlow is not installed"])
    assert not wrong.is_fit
    assert wrong.lines()[-1] == "problem: TensorFlow is not installed"


@pytest.mark.slow
def test_this_machine_is_examined(tmp_path):
    found = examined([str(tmp_path / "python")])
    assert [one.runtime.python for one in found.acceptances] == [sys.executable, str(tmp_path / "python")]
    assert (found.acceptances[0].problem, found.acceptances[1].runtime.name) == ("", None)
    assert any(str(tmp_path / "python") in problem for problem in found.problems)
    assert found.cores > 0
    assert found.memory_mb > MEMORY_MB_MIN / 10
