"""What one line has heard: bytes in, verdicts out, and counts of what was no answer. Pure.

It remembers requests that were not answered, so that their late answers are known when they come.
"""

from collections import Counter, deque
from typing import Protocol

import msgspec

from firmware_bridge.verdict import EXCEPTION_BIT, WAITING, Fault, Frame, Request, State, Verdict

# Lost answers to remember, and late ones to tell of: several times what a line loses in a few seconds.
_REMEMBERED_MAX = 64


class Wire(Protocol):
    """The rules of a kind of wire: the modules rtu and mbap."""

    # whether frames follow each other without a silence, so that the beginning of one must be kept
    IS_STREAM: bool

    def asked_by(self, frame: bytes) -> Request:
        """What a request of ours asks, from its bytes."""
        ...

    def judge(self, request: Request, received: bytes, *, is_idle: bool = False) -> Verdict:
        """What the bytes received since the request left mean."""
        ...

    def take_frames(self, received: bytes) -> tuple[list[Frame], bytes]:
        """The whole frames in what came when nobody asked, and what is left."""
        ...


class Receiver:
    """The receiving side of a line; one request at a time."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        # how often each fault kept a frame from being the answer
        self.counts: Counter[Fault] = Counter()
        self._request: Request | None = None
        self._received = b""
        self._is_mute = True
        # What came when nobody asked and is no whole frame yet.
        self._stray = b""
        self._lost: deque[Request] = deque(maxlen=_REMEMBERED_MAX)
        self._late: deque[Frame] = deque(maxlen=_REMEMBERED_MAX)

    @property
    def is_asking(self) -> bool:
        """Whether a request has left and is neither answered nor given up."""
        return self._request is not None

    @property
    def is_mute(self) -> bool:
        """Whether not a byte came since the last request left."""
        return self._is_mute

    def connected(self) -> None:
        """A new connection: what came on the old one is over."""
        self._request, self._received, self._stray = None, b"", b""

    def ask(self, frame: bytes, *, is_transaction_echoed: bool = False) -> Request:
        """A request leaves, with these bytes."""
        request = self._wire.asked_by(frame)
        if is_transaction_echoed:
            request = msgspec.structs.replace(request, is_transaction_echoed=True)
        self._request, self._is_mute = request, True
        self._received, self._stray = self._stray if self._wire.IS_STREAM else b"", b""
        return request

    def hear(self, data: bytes) -> Verdict:
        """Bytes came; WAITING also when nobody asked for them."""
        self._is_mute = False
        if self._request is None:
            self._hear_stray(data)
            return WAITING
        self._received += data
        return self._settled(self._request, self._wire.judge(self._request, self._received))

    def idle(self) -> Verdict:
        """The line has been idle for a while: nothing more will come of what has begun."""
        if self._request is None:
            return WAITING
        return self._settled(self._request, self._wire.judge(self._request, self._received, is_idle=True))

    def give_up(self) -> None:
        """The request under way will not be answered in time; what has come of it may be its late answer."""
        if self._request is not None:
            passed_over = self._wire.judge(self._request, self._received).passed_over
            self._note_lost(self._request)
            received = self._received.removeprefix(self._request.frame)
            self._request, self._received = None, b""
            self._hear_stray(received, passed_over)

    def take_late(self) -> list[Frame]:
        """The whole frames that were no answer when they came, since the last call."""
        late = list(self._late)
        self._late.clear()
        return late

    def _settled(self, request: Request, verdict: Verdict) -> Verdict:
        if verdict.state is State.WAITING:
            return verdict
        self._request, self._received = None, b""
        for frame in verdict.passed_over:
            self._note(frame)
        if verdict.fault is not None:
            self.counts[verdict.fault] += 1
            self._note_lost(request)
        self._hear_stray(verdict.rest)
        return verdict

    def _hear_stray(self, data: bytes, passed_over: tuple[Frame, ...] = ()) -> None:
        """Frames that were `passed_over` have been compared with a request: in what they differ is known."""
        if data:
            known = {(frame.unit, frame.function, frame.count): frame for frame in passed_over}
            frames, self._stray = self._wire.take_frames(self._stray + data)
            for frame in frames:
                self._note(known.get((frame.unit, frame.function, frame.count), frame))

    def _note(self, frame: Frame) -> None:
        """A frame that was asked for earlier is late; another is wrong in what it differs by."""
        answered = next((lost for lost in self._lost if _answers(frame, lost)), None)
        if answered is not None:
            self._lost.remove(answered)
        self.counts[frame.fault if answered is None else Fault.OTHER_ANSWER] += 1
        self._late.append(frame)

    def _note_lost(self, request: Request) -> None:
        self._lost.append(request)


def _answers(frame: Frame, request: Request) -> bool:
    """Whether a frame can be the answer to a request; an exception does not tell its length."""
    is_exception = frame.function == request.function | EXCEPTION_BIT
    is_reply = (frame.function, frame.count) == (request.function, request.count)
    return frame.unit == request.unit and (is_reply or is_exception)
