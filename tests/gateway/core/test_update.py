import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.update import (
    OUTCOME_BYTES_MAX,
    STRIKES_MAX,
    TABLE,
    Action,
    Event,
    Outcome,
    Released,
    State,
    below_floor,
    decode_outcome,
    draw,
    encode_outcome,
    event_of,
    is_struck_out,
    step,
)

ENDS: dict[Action, list[Event]] = {
    Action.START_CHECK: [Event.NO_UPDATE, Event.INSTALLED, Event.REFUSED, Event.TROUBLE],
    Action.ACTIVATE: [Event.ACTIVATED, Event.ACTIVATION_FAILED, Event.TROUBLE],
    Action.ROLL_BACK: [Event.ROLLED_BACK, Event.TROUBLE],
    Action.STOP_CHECK_AND_ROLL_BACK: [Event.ROLLED_BACK, Event.TROUBLE],
}


class Shell:
    """Does what the table says, and lets only happen what can: an action ends in one of its events."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self.under_way: Action | None = None
        self.history: list[tuple[Event, Action]] = []

    def happens(self, event: Event) -> None:
        self.state, action = step(self.state, event)
        self.history.append((event, action))
        if event not in (Event.CHECK_DUE, Event.HOST_STRUCK_OUT):
            self.under_way = None
        if action in ENDS:
            self.under_way = action

    def ends(self, choice: int) -> None:
        if self.under_way is not None:
            events = ENDS[self.under_way]
            self.happens(events[choice % len(events)])


stimuli = st.lists(st.sampled_from([Event.CHECK_DUE, Event.HOST_STRUCK_OUT]) | st.integers(0, 3), max_size=40)


def live(things: list[Event | int]) -> Shell:
    shell = Shell()
    for thing in things:
        if isinstance(thing, Event):
            shell.happens(thing)
        else:
            shell.ends(thing)
        assert (shell.state is State.IDLE) == (shell.under_way is None)
    return shell


@given(stimuli)
def test_whatever_happens_the_table_knows_what_to_do_and_comes_to_rest(things):
    shell = live(things)
    for _ in range(2):
        shell.ends(0)
    assert shell.state is State.IDLE


@given(stimuli)
def test_only_an_installed_bundle_is_ever_activated(things):
    for event, action in live(things).history:
        assert (action is Action.ACTIVATE) == (event is Event.INSTALLED)


@given(stimuli)
def test_a_host_that_strikes_out_is_rolled_back_unless_its_successor_is_coming(things):
    shell = live(things)
    before = shell.state
    shell.happens(Event.HOST_STRUCK_OUT)
    assert shell.state is (State.ACTIVATING if before is State.ACTIVATING else State.ROLLING_BACK)


def test_every_state_leads_back_to_idle():
    reaches = {State.IDLE}
    for _ in State:
        reaches |= {state for state in State if {following for following, _ in TABLE[state].values()} & reaches}
    assert reaches == set(State)


def test_every_event_and_every_action_is_used():
    pairs = [(event, action) for row in TABLE.values() for event, (_, action) in row.items()]
    assert {event for event, _ in pairs} == set(Event)
    assert {action for _, action in pairs} == set(Action)


def test_an_event_that_cannot_happen_is_the_shells_fault():
    with pytest.raises(KeyError):
        step(State.IDLE, Event.INSTALLED)


def test_drawing_shows_every_transition_that_does_something():
    drawing = draw()
    assert drawing.startswith("stateDiagram-v2\n    [*] --> idle\n")
    assert "    idle --> checking: check due / start check\n" in drawing
    assert "    checking --> idle: refused / report refused\n" in drawing
    assert "    checking --> idle: no update\n" in drawing
    silent = [1 for state, row in TABLE.items() for end in row.values() if end == (state, Action.NOTHING)]
    assert len(drawing.splitlines()) == 2 + sum(len(row) for row in TABLE.values()) - len(silent)


def test_three_strikes_and_no_fewer_are_too_many():
    assert [is_struck_out(strikes) for strikes in range(STRIKES_MAX + 2)] == [False, False, False, True, True]


outcomes = st.builds(
    Outcome,
    st.sampled_from(["no_update", "installed", "refused", "network", "expired", "local"]),
    st.none() | st.integers(0, 2**40),
    st.none() | st.just("a" * 64),
    st.text(max_size=2000),
    st.booleans(),
)


@given(outcomes)
def test_outcome_travels_as_one_bounded_line(outcome):
    line = encode_outcome(outcome)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) < OUTCOME_BYTES_MAX
    back = decode_outcome(line)
    assert (back.outcome, back.release, back.digest, back.lasting) == (
        outcome.outcome,
        outcome.release,
        outcome.digest,
        outcome.lasting,
    )
    assert back.reason in " ".join(outcome.reason.split())


@given(st.binary(max_size=200))
def test_any_other_line_is_refused(line):
    with pytest.raises(ValueError, match="not the outcome"):
        decode_outcome(line)


@given(outcomes)
def test_every_outcome_is_an_event_of_a_check(outcome):
    assert event_of(outcome) in TABLE[State.CHECKING]


FOLLOWED = ("stable-acme", "stable")
releases = st.builds(Released, st.sampled_from(["", "stable", "stable-acme", "stable-old"]), st.integers(0, 9))
offers = st.builds(Released, st.sampled_from(FOLLOWED), st.integers(0, 9))


@given(st.lists(offers, max_size=20), releases)
def test_no_channel_is_ever_followed_backwards_nor_left_for_a_more_general_one(offered, running):
    taken = [running]
    for one in offered:
        if not below_floor(FOLLOWED, taken[-1], one):
            taken.append(one)
    own = [one.channel for one in taken if one.channel in FOLLOWED]
    assert own == sorted(own, key=FOLLOWED.index, reverse=True)
    for channel in FOLLOWED:
        numbers = [one.release for one in taken if one.channel == channel]
        assert numbers == sorted(numbers)


def test_factory_bundle_and_a_former_owners_set_no_floor():
    for channel in ("", "stable-old"):
        assert below_floor(FOLLOWED, Released(channel, 9), Released("stable", 1)) == ""
    assert below_floor(FOLLOWED, Released("stable", 9), Released("stable-acme", 1)) == ""
    assert below_floor(FOLLOWED, Released("stable", 9), Released("stable", 8)) == "release 8 is below 9, which runs"
    assert "is for gateways" in below_floor(FOLLOWED, Released("stable-acme", 1), Released("stable", 8))
