"""The model host: a child process that loads one bundle and runs its models. A shell.

`python -m gateway.shell.model_host FOLDER` speaks the frames of `gateway.contract.host_frames` on
its standard input and output, and ends when its input closes. It holds no key and opens no socket: what a model
does to this process (a crash, a hang, a NaN) never touches the readings.
"""

import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np

from firmware_bridge.errors import Exit
from gateway.contract.host_frames import (
    LENGTH,
    Answer,
    Failure,
    Frame,
    FrameError,
    Question,
    Ready,
    decode_frame,
    decode_length,
    encode_frame,
    pack_tensor,
    unpack_tensor,
)
from gateway.contract.manifest import ManifestError
from gateway.shell.interpreter import Interpreter, ModelError, RuntimeUnusableError
from gateway.shell.verified_bundle import BundleMissingError, read_bundle

# With our models it needs 22 MB on tflite-runtime and 54 on LiteRT. One that leaks ends here, before the board
# runs short of memory.
MEMORY_BYTES_MAX = 256 * 1024 * 1024

_STDOUT, _STDERR = 1, 2


def main(arguments: list[str]) -> int:
    """Serve the bundle in the folder `arguments[0]`."""
    # Ctrl-C goes to the whole group: the gateway decides when its host ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    answers = _claim_stdout()
    try:
        bundle = read_bundle(Path(arguments[0]))
        models = {model.name: Interpreter(bundle.files[model.file]) for model in bundle.manifest.models}
    except (BundleMissingError, ManifestError, ModelError, RuntimeUnusableError) as error:
        _write(answers, Failure(str(error)))
        return Exit.NOT_VERIFIED
    _write(answers, Ready(bundle.digest, sorted(models)))
    try:
        return _serve(sys.stdin.buffer, answers, models)
    except BrokenPipeError:
        return Exit.OK


def answer(question: Frame, models: dict[str, Interpreter]) -> Answer | Failure:
    """What the asked model says; every trouble is a `Failure`, for a question never ends the host."""
    if not isinstance(question, Question):
        return Failure("only questions are answered here")
    model = models.get(question.name)
    if model is None:
        return Failure(f"the bundle has no model {question.name!r}")
    try:
        output = model.predict([unpack_tensor(one) for one in question.tensors])
    except (FrameError, ModelError) as error:
        return Failure(str(error))
    if not np.isfinite(output).all():
        return Failure(f"{question.name} gave a value that is not a number")
    return Answer(pack_tensor(output))


def _serve(questions: BinaryIO, answers: BinaryIO, models: dict[str, Interpreter]) -> int:
    """Answer until the input closes. A frame that cannot be told from the next one ends the host."""
    while len(head := questions.read(LENGTH.size)) == LENGTH.size:
        try:
            question = decode_frame(questions.read(decode_length(head)))
        except FrameError as error:
            _write(answers, Failure(str(error)))
            return Exit.FAILED
        _write(answers, answer(question, models))
    return Exit.OK


def _claim_stdout() -> BinaryIO:
    """Keep the pipe for frames alone: what native code prints goes to standard error instead."""
    sys.stdout.flush()
    pipe = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return os.fdopen(pipe, "wb")


def _write(answers: BinaryIO, frame: Frame) -> None:
    answers.write(encode_frame(frame))
    answers.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
