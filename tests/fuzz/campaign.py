"""One parser under many inputs: the first that breaks what must hold, made as short as it can be."""

import signal
import sys
import traceback
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import NamedTuple

from firmware_bridge.clock import SystemClock
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import BrokenError, Target

# No input of a few kilobytes takes a hundredth of that on a slow machine.
DEADLINE_S = 5.0
# Inputs to go on from; ends that are found later are counted alone.
CORPUS_MAX = 2_048
# The calls of every so many-th input are counted, which slows it down.
COUNTED_EVERY = 25
# What a parser may do for an empty input, and for each byte of another; a dozen looks at each input are in it.
# What goes over its input again for each part of it passes this at a few kilobytes.
CALLS_MIN, CALLS_PER_BYTE = 20_000, 300
# Tries to make a failing input shorter.
SHORTER_TRIES_MAX = 2_000


class Late(BaseException):
    """An input took too long; no parser catches this."""


class Finding(NamedTuple):
    """An input that breaks what must hold, and how."""

    data: bytes
    trouble: str


class Report(NamedTuple):
    """What came of one campaign."""

    name: str
    inputs: int
    # different ends that inputs came to
    ends: int
    calls_per_byte_max: float
    finding: Finding | None = None


class Campaign:
    """Inputs for one parser, the same ones for the same seed."""

    def __init__(self, target: Target, seed: int) -> None:
        self._target = target
        self._random = Random(f"{seed} {target.name}")
        self._corpus = [seed[: target.bytes_max] for seed in target.seeds] or [b""]
        self._seeds = len(self._corpus)
        self._mutator = Mutator(self._random, target.words, target.bytes_max)
        # where the shortest input with that end stands in the corpus
        self._places: dict[Hashable, int] = {}
        self._inputs = 0
        self._calls_per_byte = 0.0

    def run_for(self, seconds: float) -> Report:
        """Inputs until the time is over."""
        clock = SystemClock()
        until_s = clock.monotonic_s() + seconds
        return self._run(lambda: clock.monotonic_s() < until_s)

    def run(self, inputs: int) -> Report:
        """So many inputs."""
        return self._run(lambda: self._inputs < inputs)

    def _run(self, goes_on: Callable[[], bool]) -> Report:
        finding = None
        for data in self._made():
            if finding is not None or (not goes_on() and self._inputs >= self._seeds):
                break
            finding = self._tried(data)
        if finding is not None:
            finding = shortened(self._target, finding)
        return Report(self._target.name, self._inputs, len(self._places), self._calls_per_byte, finding)

    def _made(self) -> Iterator[bytes]:
        yield from list(self._corpus)
        while True:
            yield self._mutator.mutated(self._corpus)

    def _tried(self, data: bytes) -> Finding | None:
        self._inputs += 1
        is_counted = self._inputs % COUNTED_EVERY == 0
        try:
            end = checked(self._target, data)
            if is_counted:
                self._count(data)
        except (Exception, Late):  # noqa: BLE001 - whatever a parser raises is a finding
            return Finding(data, traceback.format_exc())
        self._keep(end, data)
        return None

    def _keep(self, end: Hashable, data: bytes) -> None:
        """Inputs with a new end are worth going on from, and the shorter the better."""
        place = self._places.setdefault(end, len(self._corpus))
        if place < len(self._corpus):
            self._corpus[place] = min(self._corpus[place], data, key=len)
        elif place < CORPUS_MAX:
            self._corpus.append(data)

    def _count(self, data: bytes) -> None:
        calls = calls_of(self._target, data)
        self._calls_per_byte = max(self._calls_per_byte, calls / max(len(data), 1024))
        refuse_much_work(calls, data)


def checked(target: Target, data: bytes) -> Hashable:
    """What becomes of the input.

    Raises:
        Exception: what must hold does not, or the parser raised what it must not.
        Late: it took too long.
    """
    with _deadline():
        return target.check(data)


def calls_of(target: Target, data: bytes) -> int:
    """How many functions are called for this input: a measure of work that is the same on every machine."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    with _deadline():
        sys.setprofile(count)
        try:
            target.check(data)
        finally:
            sys.setprofile(None)
    return calls


def refuse_much_work(calls: int, data: bytes) -> None:
    """Raises `BrokenError` where the work is out of proportion to the input."""
    if calls > CALLS_MIN + CALLS_PER_BYTE * len(data):
        raise BrokenError(f"{calls} calls for {len(data)} bytes")


def shortened(target: Target, finding: Finding) -> Finding:
    """The finding with as much of its input taken out as can be while it breaks in the same way."""
    kind, data, tries = _kind(finding), finding.data, 0
    size = max(len(data) // 2, 1)
    while size:
        at = 0
        while at < len(data) and tries < SHORTER_TRIES_MAX:
            shorter = data[:at] + data[at + size :]
            tries += 1
            found = _finding(target, shorter)
            if found is not None and _kind(found) == kind:
                data, finding = shorter, found
            else:
                at += size
        size //= 2
    return finding


def _finding(target: Target, data: bytes) -> Finding | None:
    try:
        checked(target, data)
        refuse_much_work(calls_of(target, data), data)
    except (Exception, Late):  # noqa: BLE001 - as above
        return Finding(data, traceback.format_exc())
    return None


def _kind(finding: Finding) -> str:
    """The name of the exception: what the last line of its account begins with."""
    return finding.trouble.strip().splitlines()[-1].partition(":")[0]


@contextmanager
def _deadline() -> Iterator[None]:
    def on_alarm(*_: object) -> None:
        raise Late(f"took longer than {DEADLINE_S:g} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
