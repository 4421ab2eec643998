"""When to leave alone what stays silent, a device or a line: the circuit breaker. Pure; takes `now`.

Whoever was silent too often rests: it is asked again only now and then, so that it costs the healthy
ones next to nothing. A table, (state, event) -> (state, action); ARCHITECTURE.md has its drawing.
"""

from enum import StrEnum

from firmware_bridge.reading import MonotonicS
from firmware_bridge.state_table import draw_table


class State(StrEnum):
    """Whether it is asked."""

    CLOSED = "closed"  # it answers, or has not been silent for long: asked in every sweep
    OPEN = "open"  # it rests
    HALF_OPEN = "half-open"  # its rest is over: asked once


class Event(StrEnum):
    """What a sweep brought."""

    ANSWER = "answer"
    SILENCE = "silence"
    LAST_SILENCE = "last silence"  # one too many in a row
    REST_OVER = "rest over"


class Action(StrEnum):
    """What to do about it."""

    NONE = "none"
    FORGET = "forget"  # the silences and the rests
    COUNT = "count"  # one silence more
    REST = "rest"  # twice as long as the last time


TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    (State.CLOSED, Event.ANSWER): (State.CLOSED, Action.FORGET),
    (State.CLOSED, Event.SILENCE): (State.CLOSED, Action.COUNT),
    (State.CLOSED, Event.LAST_SILENCE): (State.OPEN, Action.REST),
    (State.CLOSED, Event.REST_OVER): (State.CLOSED, Action.NONE),
    (State.OPEN, Event.ANSWER): (State.CLOSED, Action.FORGET),
    (State.OPEN, Event.SILENCE): (State.OPEN, Action.NONE),
    (State.OPEN, Event.LAST_SILENCE): (State.OPEN, Action.NONE),
    (State.OPEN, Event.REST_OVER): (State.HALF_OPEN, Action.NONE),
    (State.HALF_OPEN, Event.ANSWER): (State.CLOSED, Action.FORGET),
    (State.HALF_OPEN, Event.SILENCE): (State.OPEN, Action.REST),
    (State.HALF_OPEN, Event.LAST_SILENCE): (State.OPEN, Action.REST),
    (State.HALF_OPEN, Event.REST_OVER): (State.HALF_OPEN, Action.NONE),
}


def draw() -> str:
    """The table as a Mermaid state diagram."""
    return draw_table(TABLE, State.CLOSED, Action.NONE)


# 2 ** 20 times the shortest rest is beyond any longest one, and no overflow after a year of silence.
_DOUBLINGS_MAX = 20


class Breaker:
    """The breaker of one device or line."""

    def __init__(self, *, silences_max: int, rest_first_s: float, rest_last_s: float) -> None:
        """Opens at the silence number `silences_max` in a row; rests double from first to last."""
        self._silences_max = silences_max
        self._rest_first_s, self._rest_last_s = rest_first_s, rest_last_s
        self.state = State.CLOSED
        self.silences = 0  # in a row
        self._rests = 0
        self._rest_until_s = MonotonicS(0.0)

    def is_resting(self, now_s: MonotonicS) -> bool:
        """Whether it is not to be asked now."""
        if self.state is State.OPEN and now_s >= self._rest_until_s:
            self._on(Event.REST_OVER, now_s)
        return self.state is State.OPEN

    def answered(self, now_s: MonotonicS) -> None:
        """It gave a sign of life."""
        self._on(Event.ANSWER, now_s)

    def was_silent(self, now_s: MonotonicS) -> None:
        """It was asked and gave none."""
        is_last = self.silences + 1 >= self._silences_max
        self._on(Event.LAST_SILENCE if is_last else Event.SILENCE, now_s)

    def _on(self, event: Event, now_s: MonotonicS) -> None:
        self.state, action = TABLE[self.state, event]
        match action:
            case Action.FORGET:
                self.silences = self._rests = 0
            case Action.COUNT:
                self.silences += 1
            case Action.REST:
                self.silences += 1
                rest_s = self._rest_first_s * 2.0 ** min(self._rests, _DOUBLINGS_MAX)
                self._rest_until_s = MonotonicS(now_s + min(rest_s, self._rest_last_s))
                self._rests += 1
            case Action.NONE:
                pass
