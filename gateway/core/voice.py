"""Who speaks, model or baseline, as a table of shares. Pure."""

from collections.abc import Mapping
from enum import StrEnum

from firmware_bridge.state_table import draw_table


class Voice(StrEnum):
    """Who speaks: one of the two, or both in a mix."""

    MODEL = "model"
    MOSTLY_MODEL = "mostly_model"
    HALF_MODEL = "half_model"
    MOSTLY_BASELINE = "mostly_baseline"
    BASELINE = "baseline"


class Event(StrEnum):
    """What trailing errors say of a step towards one of them; `level`: neither would have helped."""

    BASELINE_HELPS = "baseline_helps"
    MODEL_HELPS = "model_helps"
    LEVEL = "level"
    NEW_MODEL = "new_model"


class Action(StrEnum):
    """What is to be told."""

    NOTHING = "nothing"
    TELL_RETIRED = "tell_retired"
    TELL_REINSTATED = "tell_reinstated"


# Share of the model in what is said, from all to none.
SHARES: Mapping[Voice, float] = {
    Voice.MODEL: 1.0,
    Voice.MOSTLY_MODEL: 0.75,
    Voice.HALF_MODEL: 0.5,
    Voice.MOSTLY_BASELINE: 0.25,
    Voice.BASELINE: 0.0,
}

TABLE: Mapping[tuple[Voice, Event], tuple[Voice, Action]] = {
    (Voice.MODEL, Event.BASELINE_HELPS): (Voice.MOSTLY_MODEL, Action.NOTHING),
    (Voice.MODEL, Event.LEVEL): (Voice.MODEL, Action.NOTHING),
    (Voice.MODEL, Event.NEW_MODEL): (Voice.MODEL, Action.NOTHING),
    (Voice.MOSTLY_MODEL, Event.BASELINE_HELPS): (Voice.HALF_MODEL, Action.NOTHING),
    (Voice.MOSTLY_MODEL, Event.MODEL_HELPS): (Voice.MODEL, Action.NOTHING),
    (Voice.MOSTLY_MODEL, Event.LEVEL): (Voice.MOSTLY_MODEL, Action.NOTHING),
    (Voice.MOSTLY_MODEL, Event.NEW_MODEL): (Voice.MODEL, Action.NOTHING),
    (Voice.HALF_MODEL, Event.BASELINE_HELPS): (Voice.MOSTLY_BASELINE, Action.NOTHING),
    (Voice.HALF_MODEL, Event.MODEL_HELPS): (Voice.MOSTLY_MODEL, Action.NOTHING),
    (Voice.HALF_MODEL, Event.LEVEL): (Voice.HALF_MODEL, Action.NOTHING),
    (Voice.HALF_MODEL, Event.NEW_MODEL): (Voice.MODEL, Action.NOTHING),
    (Voice.MOSTLY_BASELINE, Event.BASELINE_HELPS): (Voice.BASELINE, Action.TELL_RETIRED),
    (Voice.MOSTLY_BASELINE, Event.MODEL_HELPS): (Voice.HALF_MODEL, Action.NOTHING),
    (Voice.MOSTLY_BASELINE, Event.LEVEL): (Voice.MOSTLY_BASELINE, Action.NOTHING),
    (Voice.MOSTLY_BASELINE, Event.NEW_MODEL): (Voice.MODEL, Action.NOTHING),
    (Voice.BASELINE, Event.MODEL_HELPS): (Voice.MOSTLY_BASELINE, Action.TELL_REINSTATED),
    (Voice.BASELINE, Event.LEVEL): (Voice.BASELINE, Action.NOTHING),
    (Voice.BASELINE, Event.NEW_MODEL): (Voice.MODEL, Action.TELL_REINSTATED),
}


def step(voice: Voice, event: Event) -> tuple[Voice, Action]:
    """Who speaks after `event`, and what is to be told.

    Raises:
        KeyError: the event cannot happen: there is nothing beyond all or none.
    """
    return TABLE[voice, event]


def draw() -> str:
    """The table as a Mermaid state diagram."""
    return draw_table(TABLE, Voice.MODEL, Action.NOTHING)
