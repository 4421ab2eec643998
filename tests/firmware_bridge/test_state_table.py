from enum import StrEnum

from firmware_bridge.state_table import draw_table


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"


class Hand(StrEnum):
    PUSH = "push"
    WAVE = "wave"


class Sound(StrEnum):
    NONE = "none"
    CREAK = "creak"


TABLE = {
    (Door.OPEN, Hand.PUSH): (Door.SHUT, Sound.CREAK),
    (Door.OPEN, Hand.WAVE): (Door.OPEN, Sound.NONE),
    (Door.SHUT, Hand.PUSH): (Door.SHUT, Sound.CREAK),
    (Door.SHUT, Hand.WAVE): (Door.OPEN, Sound.NONE),
}


def test_a_drawing_has_every_transition_but_loops_that_do_nothing():
    assert draw_table(TABLE, Door.OPEN, Sound.NONE) == (
        "stateDiagram-v2\n"
        "    [*] --> OPEN\n"
        "    OPEN --> SHUT: push / creak\n"
        "    SHUT --> SHUT: push / creak\n"
        "    SHUT --> OPEN: wave\n"
    )
