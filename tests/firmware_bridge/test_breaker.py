import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.breaker import TABLE, Breaker, Event, State, draw
from firmware_bridge.reading import MonotonicS

FIRST_S, LAST_S, SILENCES_MAX = 1.0, 20.0, 3


def a_breaker() -> Breaker:
    return Breaker(silences_max=SILENCES_MAX, rest_first_s=FIRST_S, rest_last_s=LAST_S)


def test_every_state_has_an_answer_to_every_event():
    assert set(TABLE) == {(state, event) for state in State for event in Event}


def test_it_opens_at_the_third_silence_in_a_row_and_each_rest_is_twice_the_last():
    breaker, now_s = a_breaker(), 0.0
    for _ in range(SILENCES_MAX - 1):
        breaker.was_silent(MonotonicS(now_s))
        assert not breaker.is_resting(MonotonicS(now_s))
    rests_s = []
    for _ in range(7):
        breaker.was_silent(MonotonicS(now_s))
        rest_s = next(rest for rest in range(100) if not breaker.is_resting(MonotonicS(now_s + rest)))
        rests_s.append(rest_s)
        now_s += rest_s
    assert rests_s == [1, 2, 4, 8, 16, 20, 20]


def test_a_year_of_silence_ends_with_one_answer():
    breaker, now_s = a_breaker(), 0.0
    for _ in range(3000):
        breaker.was_silent(MonotonicS(now_s))
        now_s += LAST_S
    assert not breaker.is_resting(MonotonicS(now_s))
    breaker.answered(MonotonicS(now_s))
    assert (breaker.state, breaker.silences) == (State.CLOSED, 0)


@given(st.lists(st.tuples(st.sampled_from(["answer", "silence", "look"]), st.floats(0, 30))))
def test_whatever_happens_it_never_rests_for_longer_than_the_longest_rest(events: list[tuple[str, float]]):
    breaker, now_s = a_breaker(), 0.0
    for event, later_s in events:
        now_s += later_s
        if event == "answer":
            breaker.answered(MonotonicS(now_s))
            assert not breaker.is_resting(MonotonicS(now_s))
        elif event == "silence":
            breaker.was_silent(MonotonicS(now_s))
        else:
            breaker.is_resting(MonotonicS(now_s))
    assert not breaker.is_resting(MonotonicS(now_s + LAST_S))


@pytest.mark.parametrize("state", State)
def test_the_drawing_shows_every_state(state: State):
    assert state.name in draw()
