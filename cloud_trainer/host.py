"""The production model host, asked from outside: what a gateway would say, for thousands of windows. A shell.

Whoever judges a model judges the file that ships, in the program that runs it: `python -m
gateway.shell.model_host`, a process that never shares its memory with TensorFlow. Questions are sent while
answers still come, so that neither side waits for the other.
"""

import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from gateway.contract.host_frames import (
    LENGTH,
    Answer,
    Failure,
    Frame,
    FrameError,
    Ready,
    decode_frame,
    decode_length,
    encode_frame,
    pack_question,
    unpack_tensor,
)
from gateway.contract.inputs import F32, Inputs

# Loading a bundle takes a second and an answer a millisecond, on a loaded machine ten of each: this is a hang.
SILENCE_S_MAX = 30.0
# Its input is closed and it holds nothing worth waiting for.
_CLOSE_S_MAX = 5.0
_READ_BYTES = 1 << 16
# What native code prints before it dies; enough to find the cause, and no more.
_LAST_WORDS_CHARACTERS = 600
# One thread each, as on the gateway.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class HostError(Exception):
    """The host refuses the bundle or a question, died, or fell silent."""


class Host:
    """`with Host(folder) as host: host.predict(...)`: one bundle, loaded. After an error it is dead."""

    def __init__(self, folder: Path, *, python: str = sys.executable, silence_s_max: float = SILENCE_S_MAX) -> None:
        """The host of the bundle in `folder`, as the interpreter `python` with our gateway runs it."""
        self._folder = folder
        self._command = [python, "-m", "gateway.shell.model_host", str(folder)]
        self._silence_s_max = silence_s_max
        self._child: subprocess.Popen[bytes] | None = None
        self._received = bytearray()
        self._spoken: IO[bytes] | None = None
        self.names: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        """Start it and wait until its models are loaded.

        Raises:
            HostError: it does not start, or refuses the bundle.
        """
        self._spoken = tempfile.TemporaryFile()
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._spoken,
                env=os.environ | _ONE_THREAD,
                bufsize=0,
            )
        except OSError as error:
            self.close()
            raise HostError(f"the model host cannot be started: {error.strerror}") from error
        try:
            self.names = _names(next(self._exchange(iter(()))))
        except (HostError, FrameError) as error:
            self.close()
            raise HostError(f"{self._folder}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def predict(self, name: str, inputs: Inputs) -> F32:
        """What the model `name` says to each of `n` windows: `[n, rows, quantiles]` in scaled units.

        Raises:
            HostError: there is an answer missing; the host is dead then.
        """
        count = len(inputs.recent)
        questions = (
            encode_frame(pack_question(name, [one[row : row + 1] for one in inputs])) for row in range(count)
        )
        answers = self._exchange(questions)
        try:
            said = [_tensor(next(answers)) for _ in range(count)]
        except (HostError, FrameError) as error:
            self.close()
            raise HostError(f"{name}: {error}") from error
        return np.concatenate(said) if said else np.zeros((0, 0, 0), dtype=np.float32)

    def close(self) -> None:
        """End the child, by closing its input or else by force. Never hangs."""
        child, self._child = self._child, None
        if child is not None:
            _end(child)
        if self._spoken is not None:
            self._spoken.close()

    def _exchange(self, questions: Iterator[bytes]) -> Iterator[Frame]:
        """Every frame that comes, in order, while the questions are written as fast as they are taken."""
        child = self._child
        if child is None:
            raise HostError("the model host is not running")
        assert child.stdin is not None
        assert child.stdout is not None
        asking, answering = child.stdin.fileno(), child.stdout.fileno()
        os.set_blocking(asking, False)
        pending = next(questions, b"")
        with selectors.DefaultSelector() as selector:
            selector.register(answering, selectors.EVENT_READ)
            if pending:
                selector.register(asking, selectors.EVENT_WRITE)
            while True:
                yield from self._frames()
                ready = {key.fd for key, _ in selector.select(self._silence_s_max)}
                if not ready:
                    child.kill()
                    raise HostError(f"the model host has been silent for {self._silence_s_max:g} s")
                if answering in ready:
                    self._receive(child, answering)
                elif asking in ready:
                    pending = _send(asking, pending) or next(questions, b"")
                    if not pending:
                        selector.unregister(asking)

    def _receive(self, child: subprocess.Popen[bytes], answering: int) -> None:
        chunk = os.read(answering, _READ_BYTES)
        if not chunk:
            raise HostError(f"the model host {_end(child)}{self._last_words()}")
        self._received += chunk

    def _last_words(self) -> str:
        """The end of what it wrote beside its answers."""
        assert self._spoken is not None
        self._spoken.seek(0)
        words = self._spoken.read().decode(errors="replace").strip()
        return f": {words[-_LAST_WORDS_CHARACTERS:]}" if words else ""

    def _frames(self) -> Iterator[Frame]:
        """The whole frames among what was received."""
        while len(self._received) >= LENGTH.size:
            end = LENGTH.size + decode_length(bytes(self._received[: LENGTH.size]))
            if len(self._received) < end:
                return
            body = bytes(self._received[LENGTH.size : end])
            del self._received[:end]
            yield decode_frame(body)


def _end(child: subprocess.Popen[bytes]) -> str:
    """Close its input, wait, and if need be kill it; how it ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    child.stdout.close()
    try:
        code = child.wait(_CLOSE_S_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _send(asking: int, pending: bytes) -> bytes:
    """Write what the pipe takes; what it does not take remains."""
    try:
        return pending[os.write(asking, pending) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:
        return b""  # it died: what it said before, or that it said nothing, is read next


def _names(frame: Frame) -> tuple[str, ...]:
    if not isinstance(frame, Ready):
        raise HostError(_unexpected(frame))
    return tuple(frame.names)


def _tensor(frame: Frame) -> F32:
    if not isinstance(frame, Answer):
        raise HostError(_unexpected(frame))
    return unpack_tensor(frame.tensor)


def _unexpected(frame: Frame) -> str:
    return frame.error if isinstance(frame, Failure) else f"the model host sent {type(frame).__name__} unasked"
