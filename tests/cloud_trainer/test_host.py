import sys

import numpy as np
import pytest

from cloud_trainer.host import Host, HostError
from gateway.contract.inputs import Inputs
from tests.sim.bundled import FACTORY, NAME, SPEC, golden_windows

pytestmark = pytest.mark.slow


@pytest.fixture
def program(tmp_path):
    """Put a shell script in Python's place."""

    def made(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return made


def test_many_windows_are_answered_in_order_and_as_one_by_one():
    inputs, said = golden_windows()
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(said), 500)
    many = Inputs(*(tensor[rows] for tensor in inputs))
    with Host(FACTORY) as host:
        assert NAME in host.names
        answers = host.predict(NAME, many)
        single = host.predict(NAME, Inputs(*(tensor[:1] for tensor in many)))
        none = host.predict(NAME, Inputs(*(tensor[:0] for tensor in many)))
    assert answers.shape == (500, SPEC.rows, len(SPEC.quantiles))
    assert np.abs(answers - said[rows]).max() < 0.5
    assert (single[0] == answers[0]).all()
    assert len(none) == 0


def test_a_question_that_is_refused_ends_the_host():
    inputs, _ = golden_windows()
    with Host(FACTORY) as host:
        with pytest.raises(HostError, match="no_such_model"):
            host.predict("no_such_model", inputs)
        with pytest.raises(HostError, match="is not running"):
            host.predict(NAME, inputs)


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(HostError, match=r"no readable manifest\.json"), Host(tmp_path):
        pass


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(HostError, match="cannot be started"), Host(FACTORY, python=str(tmp_path / "gone")):
        pass


def test_a_host_that_dies_is_told_with_its_last_words(program):
    with pytest.raises(HostError, match="ended with code 3: no memory"):
        Host(FACTORY, python=program("echo no memory >&2; exit 3")).__enter__()


def test_a_host_that_is_killed_is_told_by_its_signal(program):
    with pytest.raises(HostError, match="ended by signal 9"):
        Host(FACTORY, python=program("kill -9 $$")).__enter__()


def test_a_silent_host_is_given_up(program):
    with pytest.raises(HostError, match=r"silent for 0\.2 s"):
        Host(FACTORY, python=program("exec tail -f /dev/null"), silence_s_max=0.2).__enter__()


def test_nonsense_is_no_answer(program):
    with pytest.raises(HostError, match="a frame of 1852796531 bytes"):
        Host(FACTORY, python=program("printf nonsense; exec cat")).__enter__()


def test_the_interpreter_can_be_named():
    inputs, said = golden_windows()
    with Host(FACTORY, python=sys.executable) as host:
        assert host.predict(NAME, inputs).shape == said.shape
