"""The gateway's side of the model host: starts the child, asks it, and kills it when it is late. A shell.

One question at a time. After any error the host is dead, and its child with it: a late answer can
then never be taken for the next one. Strikes and restarts are the caller's.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

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
    pack_question,
    unpack_tensor,
)
from gateway.contract.inputs import F32

# Real seconds for the child to import, verify and load. It takes 0.3 s on a PC; a Pi that boots
# and reads a slow card needs many times that.
START_S = 15.0
# Real seconds for an idle child to notice that its input is closed.
CLOSE_S = 2.0
# Real seconds for the kernel to take a killed child away.
REAP_S = 2.0
# What the child may know of our surroundings: how to find Python, nothing that could be a secret.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")


class HostError(Exception):
    """The model host gave no answer that can be used; the baseline must speak."""


class HostDeadError(HostError):
    """The child is not running: never started, crashed, or killed after an earlier error."""


class HostLateError(HostError):
    """The child did not answer before the deadline; it has been killed."""


class HostAnswerError(HostError):
    """The child said that it cannot answer, or said something else than an answer; it has been killed."""


class ModelHost:
    """One child process with one bundle in it. Close it always, also after an error."""

    def __init__(self, bundle: Path, deadline_s: float) -> None:
        """A host for the bundle in the folder `bundle`, whose answers may take `deadline_s` real seconds."""
        self._bundle = bundle
        self._deadline_s = deadline_s
        self._child: Process | None = None
        self._ready: Ready | None = None
        self._is_spoilt = False

    @property
    def digest(self) -> str:
        """The digest of the bundle as the child itself verified it; only after `start`."""
        assert self._ready is not None, "the host has not been started"
        return self._ready.digest

    @property
    def names(self) -> list[str]:
        """The models that can be asked; only after `start`."""
        assert self._ready is not None, "the host has not been started"
        return self._ready.names

    @property
    def pid(self) -> int | None:
        """The child's process id, None when there is no child."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start the child and wait until its models are loaded; no child is left when it fails.

        Raises:
            HostError: it did not become ready; `HostAnswerError` says what is wrong with the bundle.
        """
        assert self._child is None, "a host is started once"
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.shell.model_host",
                str(self._bundle),
                stdin=PIPE,
                stdout=PIPE,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise HostDeadError(f"the model host cannot be started: {error.strerror}") from error
        try:
            frame = await self._exchange(None, START_S)
            if not isinstance(frame, Ready):
                raise HostAnswerError(_unexpected(frame))
            self._ready = frame
        finally:
            if self._ready is None:
                await self.close()

    async def infer(self, name: str, inputs: Sequence[F32]) -> F32:
        """The output of the model `name` for `inputs`, which are in the order of their names; finite numbers only.

        Raises:
            HostError: no answer; the child is dead then. Close this host and start another.
        """
        frame = await self._exchange(pack_question(name, inputs), self._deadline_s)
        try:
            if isinstance(frame, Answer):
                return unpack_tensor(frame.tensor)
        except FrameError as error:
            self._kill()
            raise HostAnswerError(f"the model host answered nonsense: {error}") from error
        self._kill()
        raise HostAnswerError(_unexpected(frame))

    async def close(self) -> None:
        """End the child: by closing its input, and when that does not help, by force. Never hangs."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await child.wait()
        finally:
            _kill(child)
        with suppress(TimeoutError):
            async with asyncio.timeout(REAP_S):
                await child.wait()
                await child.stdout.read()  # to its end: then the event loop has let go of the pipe

    async def _exchange(self, question: Question | None, deadline_s: float) -> Frame:
        """Send `question`, if there is one, and return the next frame; without one the child is killed."""
        child = self._child
        if child is None or self._is_spoilt:
            raise HostDeadError("the model host is not running")
        frame = None
        try:
            async with asyncio.timeout(deadline_s):
                if question is not None:
                    await _send(child, question)
                frame = await _receive(child)
        except TimeoutError as error:
            raise HostLateError(f"the model host did not answer within {deadline_s:g} s") from error
        except FrameError as error:
            raise HostAnswerError(f"the model host answered nonsense: {error}") from error
        finally:
            # Also when the caller is cancelled: the unread answer must not meet the next question.
            if frame is None:
                self._kill()
        return frame

    def _kill(self) -> None:
        # An answer may lie in the pipe already: this child is never asked again.
        self._is_spoilt = True
        if self._child is not None:
            _kill(self._child)


async def _send(child: Process, question: Question) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(encode_frame(question))
        await child.stdin.drain()
    except ConnectionError as error:
        await _say_how_it_ended(child, error)


async def _receive(child: Process) -> Frame:
    assert child.stdout is not None
    try:
        length = decode_length(await child.stdout.readexactly(LENGTH.size))
        return decode_frame(await child.stdout.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        await _say_how_it_ended(child, error)


async def _say_how_it_ended(child: Process, cause: Exception) -> NoReturn:
    code = await child.wait()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    raise HostDeadError(f"the model host {how}") from cause


def _kill(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()


def _unexpected(frame: Frame) -> str:
    if isinstance(frame, Failure):
        return frame.error
    return f"the model host sent {type(frame).__name__} where it should not"
