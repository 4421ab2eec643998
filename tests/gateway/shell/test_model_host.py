"""The child, spoken to over its real pipes."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from firmware_bridge.errors import Exit
from gateway.contract.host_frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    Answer,
    Failure,
    Question,
    Ready,
    Tensor,
    decode_frame,
    decode_length,
    encode_frame,
    pack_question,
    unpack_tensor,
)
from gateway.shell.interpreter import Interpreter
from gateway.shell.model_host import MEMORY_BYTES_MAX, answer
from gateway.shell.verified_bundle import read_bundle
from tests.sim.starter_bundle import MODEL_FILE, NAME, NAMES, STARTER, copy_starter, golden_case, golden_of
from tests.sim.tiny_model import joined

# Real seconds; only a hang gets there.
END_S = 20


PAIR = {"pair": Interpreter(joined({"a": 3, "b": 2}))}
A, B = np.array([[1, 2, 3]], np.float32), np.array([[4, 5]], np.float32)


def test_a_question_with_several_inputs_is_answered():
    said = answer(pack_question("pair", [A, B]), PAIR)
    assert isinstance(said, Answer)
    assert unpack_tensor(said.tensor).tolist() == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (pack_question("weather", [A, B]), "no model 'weather'"),
        (pack_question("pair", [B, A]), "takes a as"),
        (pack_question("pair", [A]), "2 tensors, not 1"),
        (Question("pair", [Tensor([1, 3], b"short"), Tensor([1, 2], b"short")]), "do not fill"),
        (pack_question("pair", [A * np.float32(np.nan), B]), "not a number"),
        (pack_question("pair", [A, B * np.float32(np.inf)]), "not a number"),
        (Failure("what?"), "only questions"),
    ],
)
def test_every_trouble_with_a_question_is_said(asked, why):
    said = answer(asked, PAIR)
    assert isinstance(said, Failure)
    assert why in said.error


class Child:
    """The program as the gateway starts it, with plain blocking pipes."""

    def __init__(self, bundle):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.shell.model_host", str(bundle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def next_frame(self):
        return decode_frame(self.process.stdout.read(decode_length(self.process.stdout.read(LENGTH.size))))

    def say(self, words):
        self.process.stdin.write(words)
        self.process.stdin.flush()

    def end(self, last_words=b""):
        """Close its input; everything it still says, and how it ends."""
        said, _ = self.process.communicate(last_words, timeout=END_S)
        return said, self.process.returncode


@pytest.mark.slow
def test_the_host_says_which_bundle_it_holds_answers_and_ends_with_its_input():
    child = Child(STARTER)
    assert child.next_frame() == Ready(read_bundle(STARTER).digest, NAMES)
    inputs, wanted = golden_case()
    said, code = child.end(encode_frame(pack_question(NAME, inputs)) * 3)
    once = len(said) // 3
    assert code == Exit.OK
    assert said == said[:once] * 3
    frame = decode_frame(said[LENGTH.size : once])
    assert isinstance(frame, Answer)
    assert unpack_tensor(frame.tensor) == pytest.approx(wanted, abs=golden_of(NAME).tolerance)


@pytest.mark.slow
def test_every_model_of_the_bundle_is_asked_by_its_name():
    child = Child(STARTER)
    child.next_frame()
    for name in NAMES:
        inputs, wanted = golden_case(name)
        child.say(encode_frame(pack_question(name, inputs)))
        frame = child.next_frame()
        assert isinstance(frame, Answer)
        assert unpack_tensor(frame.tensor) == pytest.approx(wanted, abs=golden_of(name).tolerance)
    assert child.end() == (b"", Exit.OK)


@pytest.mark.slow
def test_a_damaged_bundle_is_named_and_not_loaded(tmp_path):
    bundle = copy_starter(tmp_path)
    with (bundle / MODEL_FILE).open("ab") as file:
        file.write(b" ")
    child = Child(bundle)
    failure = child.next_frame()
    assert isinstance(failure, Failure)
    assert MODEL_FILE in failure.error
    assert child.end() == (b"", Exit.NOT_VERIFIED)


@pytest.mark.slow
@pytest.mark.parametrize("rubbish", [LENGTH.pack(FRAME_BYTES_MAX + 1), LENGTH.pack(3) + b"\xc1\xc1\xc1"])
def test_rubbish_ends_the_host_with_a_reason(rubbish):
    child = Child(STARTER)
    child.next_frame()
    said, code = child.end(rubbish)
    assert isinstance(decode_frame(said[LENGTH.size :]), Failure)
    assert code == Exit.FAILED


@pytest.mark.slow
def test_a_question_cut_short_ends_the_host(tmp_path):
    child = Child(STARTER)
    child.next_frame()
    _, code = child.end(encode_frame(pack_question(NAME, golden_case()[0]))[:-1])
    assert code == Exit.FAILED


@pytest.mark.slow
def test_ctrl_c_is_the_gateways_business():
    child = Child(STARTER)
    child.next_frame()
    child.process.send_signal(signal.SIGINT)
    said, code = child.end(encode_frame(pack_question(NAME, golden_case()[0])))
    assert isinstance(decode_frame(said[LENGTH.size :]), Answer)
    assert code == Exit.OK


def run_with(statement):
    """The host program on the starter bundle, with `statement` run when it comes to read the bundle."""
    program = (
        "import os, sys\n"
        "from gateway.shell import model_host\n"
        "real = model_host.read_bundle\n"
        "def strange(folder):\n"
        f"    {statement}\n"
        "    return real(folder)\n"
        "model_host.read_bundle = strange\n"
        "sys.exit(model_host.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, str(STARTER)]
    return subprocess.run(command, input=b"", capture_output=True, timeout=END_S)


@pytest.mark.slow
def test_what_is_printed_inside_the_host_never_reaches_the_frames():
    ended = run_with("os.write(1, b'native noise'); print('python noise', flush=True)")
    assert isinstance(decode_frame(ended.stdout[LENGTH.size :]), Ready)
    assert b"native noise" in ended.stderr
    assert b"python noise" in ended.stderr


@pytest.mark.slow
def test_a_host_that_leaks_ends_before_the_board_is_short_of_memory():
    ended = run_with(f"bytearray({2 * MEMORY_BYTES_MAX})")
    assert ended.returncode != Exit.OK
    assert ended.stdout == b""
    assert b"MemoryError" in ended.stderr
