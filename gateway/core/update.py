"""The states of a model update, as a table. Pure.

The shell carries out the action, and what comes of it is the next event:

- a *check* runs in a child process and ends in an `Outcome`;
- a new bundle is *activated*: put into the model host, then made current;
- a host that keeps failing *strikes out* and the bundle is rolled back.

Which bundle is current lies on disk (`state.json`), never here: a gateway that starts begins idle.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, NamedTuple, assert_never

import msgspec

# Failures of the model host that one bundle may have between its activation and its end. One may
# be the machine's fault (memory short for a moment); three in a row of a bundle's life are its own.
STRIKES_MAX = 3
# One line of JSON from the checking child; a reason is cut to fit a record.
OUTCOME_BYTES_MAX = 4096
REASON_CHARACTERS_MAX = 300
# Said instead of a digest when no bundle runs.
NO_BUNDLE = "none"


class State(StrEnum):
    """What the update is about."""

    IDLE = "idle"
    CHECKING = "checking"
    ACTIVATING = "activating"
    ROLLING_BACK = "rolling_back"


class Event(StrEnum):
    """What happened."""

    CHECK_DUE = "check_due"
    NO_UPDATE = "no_update"
    INSTALLED = "installed"
    REFUSED = "refused"
    TROUBLE = "trouble"
    ACTIVATED = "activated"
    ACTIVATION_FAILED = "activation_failed"
    HOST_STRUCK_OUT = "host_struck_out"
    ROLLED_BACK = "rolled_back"


class Action(StrEnum):
    """What the shell is to do now."""

    NOTHING = "nothing"
    START_CHECK = "start_check"
    ACTIVATE = "activate"
    REPORT_REFUSED = "report_refused"
    NOTE_TROUBLE = "note_trouble"
    REPORT_ACTIVATED = "report_activated"
    # remember it as refused; the bundle that was active before still is
    REFUSE_INSTALLED = "refuse_installed"
    ROLL_BACK = "roll_back"
    # kill the checking child first: it must not install while versions are cleared away
    STOP_CHECK_AND_ROLL_BACK = "stop_check_and_roll_back"
    REPORT_ROLLED_BACK = "report_rolled_back"


TABLE: Mapping[State, Mapping[Event, tuple[State, Action]]] = {
    State.IDLE: {
        Event.CHECK_DUE: (State.CHECKING, Action.START_CHECK),
        Event.HOST_STRUCK_OUT: (State.ROLLING_BACK, Action.ROLL_BACK),
    },
    State.CHECKING: {
        Event.CHECK_DUE: (State.CHECKING, Action.NOTHING),
        Event.NO_UPDATE: (State.IDLE, Action.NOTHING),
        Event.INSTALLED: (State.ACTIVATING, Action.ACTIVATE),
        Event.REFUSED: (State.IDLE, Action.REPORT_REFUSED),
        Event.TROUBLE: (State.IDLE, Action.NOTE_TROUBLE),
        Event.HOST_STRUCK_OUT: (State.ROLLING_BACK, Action.STOP_CHECK_AND_ROLL_BACK),
    },
    State.ACTIVATING: {
        Event.CHECK_DUE: (State.ACTIVATING, Action.NOTHING),
        Event.ACTIVATED: (State.IDLE, Action.REPORT_ACTIVATED),
        Event.ACTIVATION_FAILED: (State.IDLE, Action.REFUSE_INSTALLED),
        # The disk, not the bundle: the old one is still active, the next check tries again.
        Event.TROUBLE: (State.IDLE, Action.NOTE_TROUBLE),
        # The old bundle failed while its successor loads: nothing better can be done about it.
        Event.HOST_STRUCK_OUT: (State.ACTIVATING, Action.NOTHING),
    },
    State.ROLLING_BACK: {
        Event.CHECK_DUE: (State.ROLLING_BACK, Action.NOTHING),
        Event.HOST_STRUCK_OUT: (State.ROLLING_BACK, Action.NOTHING),
        Event.ROLLED_BACK: (State.IDLE, Action.REPORT_ROLLED_BACK),
        # The disk again: the next strike tries again.
        Event.TROUBLE: (State.IDLE, Action.NOTE_TROUBLE),
    },
}


def step(state: State, event: Event) -> tuple[State, Action]:
    """Where `event` leads from `state`, and what is to be done.

    Raises:
        KeyError: the event cannot happen in this state; the shell is wrong.
    """
    return TABLE[state][event]


def draw(table: Mapping[State, Mapping[Event, tuple[State, Action]]] = TABLE) -> str:
    """The table as a Mermaid state diagram; loops that do nothing are left out."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.IDLE}"]
    for state, row in table.items():
        for event, (following, action) in row.items():
            if (following, action) == (state, Action.NOTHING):
                continue
            words = event if action is Action.NOTHING else f"{event} / {action}"
            lines.append(f"    {state} --> {following}: {words.replace('_', ' ')}")
    return "\n".join(lines) + "\n"


def is_struck_out(strikes: int) -> bool:
    """Whether a bundle whose host failed `strikes` times since its activation has to go."""
    return strikes >= STRIKES_MAX


class Released(NamedTuple):
    """Which release of which channel; the factory's has no channel."""

    channel: str
    release: int


def below_floor(channels: Sequence[str], running: Released, offered: Released) -> str:
    """Why `offered` must not follow what runs, for it would be a step back; empty when it may.

    On the channel that it came from a release never falls. Whoever runs what its organisation was given does
    not return to what all are given: an old repository, played again, might know nothing of the organisation.

    Args:
        channels: those that are followed, the preferred one first.
        running: what runs; of another channel, as the factory's or a former owner's, it sets no floor.
        offered: what the first of the channels that offers anything offers.
    """
    if running.channel not in channels:
        return ""
    if running.channel != offered.channel:
        if channels.index(offered.channel) < channels.index(running.channel):
            return ""
        return f"channel {offered.channel!r} is for gateways that {running.channel!r}, which runs, is not for"
    if offered.release < running.release:
        return f"release {offered.release} is below {running.release}, which runs"
    return ""


OutcomeKind = Literal["no_update", "installed", "refused", "network", "expired", "local"]


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a check ended.

    - `no_update`: what runs is what is published, or what is published was refused before
    - `installed`: the bundle `digest` is verified, accepted and lies under `versions`
    - `refused`: a matter of security or of a wrong bundle; `reason` names the file
    - `network`: nothing, or something else than a repository, answered
    - `expired`: the metadata is too old for this clock, or the clock is wrong
    - `local`: this machine's fault: the disk, another check at work, a wrong root file

    `lasting` says that the bundle itself is wrong, not its delivery: fetching it again is useless
    and `digest` belongs on the list of refused ones.
    """

    outcome: OutcomeKind
    release: int | None = None
    digest: str | None = None
    reason: str = ""
    lasting: bool = False


_DECODER = msgspec.json.Decoder(Outcome)


def encode_outcome(outcome: Outcome) -> bytes:
    """`outcome` as one line of JSON, its reason cut to fit a record."""
    reason = " ".join(outcome.reason.split())[:REASON_CHARACTERS_MAX]
    return msgspec.json.encode(msgspec.structs.replace(outcome, reason=reason)) + b"\n"


def decode_outcome(line: bytes) -> Outcome:
    """The outcome in `line`.

    Raises:
        ValueError: not an outcome.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"not the outcome of a check: {error}") from error


def event_of(outcome: Outcome) -> Event:
    """The event that the end of a check is."""
    match outcome.outcome:
        case "no_update":
            return Event.NO_UPDATE
        case "installed":
            return Event.INSTALLED
        case "refused":
            return Event.REFUSED
        case "network" | "expired" | "local":
            return Event.TROUBLE
        case _:
            assert_never(outcome.outcome)
