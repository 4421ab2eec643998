"""What becomes of the outbox after each batch, and how much is sent in the next. Pure; takes `now`.

A table, (state, event) -> (state, action); ARCHITECTURE.md has its drawing. Nothing but `TAKEN` ever moves the
cursor forward. A record that the cloud refuses is found by halving the batch, tried three times alone, and
put aside; a batch that did not get through is halved as well, for a slow link must get through in the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.reading import MonotonicS
from firmware_bridge.state_table import draw_table
from gateway.contract.batches import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batch, StoredRecord
from gateway.core.backoff import delay_s
from gateway.core.upload_reply import Event, Heard

# A body is written in one piece: more than a megabyte would hold up the tick. The cloud takes four times that.
BODY_BYTES_MAX = BATCH_BYTES_MAX // 4 - 64 * 1024
# Half a minute at 300 bytes a second; a single record is sent whatever its size.
BODY_BYTES_MIN = 8 * 1024
# A record refused alone so often will be refused again.
TRIES_MAX = 3
# A batch that took less than this part of its deadline may be twice as large the next time.
GROW_FRACTION = 0.25
# Waits that the cloud asks for are made longer by up to a tenth: those it sent away together come back apart.
TOLD_WAIT_JITTER = 0.1


class State(StrEnum):
    """How the outbox fares."""

    SENDING = "sending"  # batches as large as the link takes them
    SEARCHING = "searching"  # the cloud refused a batch: which record of it?
    REVOKED = "revoked"  # nothing is sent, everything is kept


class Action(StrEnum):
    """What to do about it."""

    NOTHING = "nothing"
    ADVANCE = "advance"  # the cursor, to what was taken
    REWIND = "rewind"  # the cursor
    BEGIN_GENERATION = "begin a generation"
    HALVE = "halve the batch"
    TRY_AGAIN = "try again"
    QUARANTINE = "quarantine"  # the record that was sent alone
    WAIT = "wait"
    SHRINK = "wait, then send less"
    STOP = "stop"  # until there is another identity; this is recorded
    START_ANEW = "start anew"


_WHILE_SENDING: dict[Event, tuple[State, Action]] = {
    Event.BEHIND: (State.SENDING, Action.REWIND),
    Event.CONFLICT: (State.SENDING, Action.BEGIN_GENERATION),
    Event.REFUSED: (State.SEARCHING, Action.HALVE),
    Event.REFUSED_ALONE: (State.SEARCHING, Action.TRY_AGAIN),
    Event.REVOKED: (State.REVOKED, Action.STOP),
    Event.NEW_IDENTITY: (State.SENDING, Action.START_ANEW),
}

TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    (State.SENDING, Event.TAKEN): (State.SENDING, Action.ADVANCE),
    **{(State.SENDING, event): then for event, then in _WHILE_SENDING.items()},
    (State.SENDING, Event.BUSY): (State.SENDING, Action.WAIT),
    (State.SENDING, Event.TROUBLE): (State.SENDING, Action.WAIT),
    (State.SENDING, Event.NO_ANSWER): (State.SENDING, Action.SHRINK),
    (State.SEARCHING, Event.TAKEN): (State.SEARCHING, Action.ADVANCE),
    (State.SEARCHING, Event.LAST_SUSPECT_TAKEN): (State.SENDING, Action.ADVANCE),
    (State.SEARCHING, Event.REFUSED_FOR_GOOD): (State.SENDING, Action.QUARANTINE),
    **{(State.SEARCHING, event): then for event, then in _WHILE_SENDING.items()},
    (State.SEARCHING, Event.BUSY): (State.SEARCHING, Action.WAIT),
    (State.SEARCHING, Event.TROUBLE): (State.SEARCHING, Action.WAIT),
    (State.SEARCHING, Event.NO_ANSWER): (State.SEARCHING, Action.SHRINK),
    (State.REVOKED, Event.NEW_IDENTITY): (State.SENDING, Action.START_ANEW),
}


def draw() -> str:
    """The table as a Mermaid state diagram."""
    return draw_table(TABLE, State.SENDING, Action.NOTHING)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now. `wait_s`: real seconds before anything more is sent; None when a backlog may go on."""

    action: Action
    sequence: int
    words: str
    wait_s: float | None


class Outbox:
    """Remembers what the cloud said lately; forgets it with the process, which harms nothing."""

    def __init__(self, *, timeout_s: float, patience_s: float, uniform: Callable[[], float]) -> None:
        """Begin in good faith.

        Args:
            timeout_s: the deadline of one upload, real seconds.
            patience_s: what fails is tried again after so many real seconds at the latest: the period of uploads.
            uniform: source of random numbers in [0, 1).
        """
        self._timeout_s, self._patience_s, self._uniform = timeout_s, patience_s, uniform
        self.state = State.SENDING
        self._start_anew()

    def _start_anew(self) -> None:
        self.failures = 0  # in a row
        self.bytes_max, self.records_max = BODY_BYTES_MAX, BATCH_RECORDS_MAX
        self._suspects = 0  # so many of the next records are known to hold one that is refused
        self._alone, self._tries = ("", 0), 0
        self._told_until_s: MonotonicS | None = None
        # (generation, sequence): the cloud said that it has no more, and there may be less here to send again
        self._resumed: tuple[str, int] | None = None

    def may_send(self, now_s: MonotonicS) -> bool:
        """Whether the cloud neither turned us away for good nor asked to be left alone for a while."""
        return self.state is not State.REVOKED and (self._told_until_s is None or now_s >= self._told_until_s)

    def batch(self, gateway: str, generation: str, acknowledged: int, records: list[StoredRecord]) -> Batch:
        """The batch of the next request.

        What a restored cloud asks for may have been pruned here. Said again what it has by its own word, and
        not where our cursor could go, it does not ask for ever.
        """
        if self._resumed is not None and self._resumed[0] == generation:
            acknowledged = min(acknowledged, self._resumed[1])
        return Batch(gateway, generation, acknowledged, records)

    def hear(self, sent: Batch, heard: Heard, *, body_bytes: int, took_s: float, now_s: MonotonicS) -> Step:
        """What to do after `sent`, whose body had so many bytes and whose answer took so long."""
        self.state, action = TABLE[self.state, self._refine(sent, heard.event)]
        self._remember(action, sent, heard, body_bytes, took_s)
        return Step(action, heard.sequence, heard.words, self._wait_s(action, heard, now_s))

    def renew(self) -> None:
        """The gateway has another identity: whatever was said to the one before is void."""
        self.state, _ = TABLE[self.state, Event.NEW_IDENTITY]
        self._start_anew()

    def _refine(self, sent: Batch, event: Event) -> Event:
        """An answer means more when it is known what was asked before."""
        if event is Event.TAKEN and self.state is State.SEARCHING and len(sent.records) >= self._suspects:
            return Event.LAST_SUSPECT_TAKEN
        if event is not Event.REFUSED or len(sent.records) > 1:
            return event
        key = (sent.generation, sent.records[0].sequence)
        self._tries = self._tries + 1 if key == self._alone else 1
        self._alone = key
        return Event.REFUSED_FOR_GOOD if self._tries >= TRIES_MAX else Event.REFUSED_ALONE

    def _remember(self, action: Action, sent: Batch, heard: Heard, body_bytes: int, took_s: float) -> None:
        match action:
            case Action.ADVANCE:
                self._advance(len(sent.records), took_s)
            case Action.HALVE:
                self._suspects = len(sent.records)
                self.records_max = self._suspects // 2
            case Action.TRY_AGAIN:
                self._suspects = self.records_max = 1
            case Action.QUARANTINE | Action.BEGIN_GENERATION:
                self._forget_search()
            case Action.REWIND:
                self._resumed = (sent.generation, heard.sequence)
                self._forget_search()
            case Action.SHRINK:
                self._shrink(body_bytes)
            case Action.WAIT if took_s >= GROW_FRACTION * self._timeout_s:
                # Who says so late that it is busy was at work on this batch, and has less time for one than we do.
                self._shrink(body_bytes)
            case _:
                pass

    def _shrink(self, body_bytes: int) -> None:
        self.bytes_max = max(BODY_BYTES_MIN, min(self.bytes_max, body_bytes) // 2)

    def _advance(self, records: int, took_s: float) -> None:
        self.failures = 0
        self._resumed = None
        if took_s < GROW_FRACTION * self._timeout_s:
            self.bytes_max = min(BODY_BYTES_MAX, 2 * self.bytes_max)
        if self.state is State.SEARCHING:
            self._suspects -= records
            self.records_max = max(1, self._suspects // 2)
        else:
            self._forget_search()
            self.records_max = min(BATCH_RECORDS_MAX, 2 * self.records_max)

    def _forget_search(self) -> None:
        self._suspects = 0
        self._alone, self._tries = ("", 0), 0

    def _wait_s(self, action: Action, heard: Heard, now_s: MonotonicS) -> float | None:
        """Only what was taken ends a row of failures: a cloud that refuses every record is asked ever more rarely."""
        if action in (Action.ADVANCE, Action.HALVE, Action.QUARANTINE, Action.STOP):
            return None
        self.failures += 1
        if heard.wait_s is None:
            return min(delay_s(self.failures, self._uniform), self._patience_s)
        wait_s = heard.wait_s * (1 + TOLD_WAIT_JITTER * self._uniform())
        self._told_until_s = MonotonicS(now_s + wait_s)
        return wait_s
