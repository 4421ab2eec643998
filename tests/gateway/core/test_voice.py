import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.voice import SHARES, TABLE, Action, Event, Voice, draw, step

events = st.lists(st.sampled_from(Event), max_size=60)


def live(happenings: list[Event]) -> list[tuple[Voice, Voice, Action]]:
    """From, to and what was told; events that cannot happen are left out."""
    voice, lived = Voice.MODEL, []
    for event in happenings:
        if (voice, event) in TABLE:
            following, action = step(voice, event)
            lived.append((voice, following, action))
            voice = following
    return lived


@given(events)
def test_shares_move_by_a_quarter_or_to_a_new_model(happenings: list[Event]):
    for before, after, _ in live(happenings):
        assert after is Voice.MODEL or abs(SHARES[before] - SHARES[after]) <= 0.25


@given(events)
def test_it_is_told_exactly_when_the_model_falls_silent_and_when_it_is_back(happenings: list[Event]):
    for before, after, action in live(happenings):
        assert (action is Action.TELL_RETIRED) == (after is Voice.BASELINE is not before)
        assert (action is Action.TELL_REINSTATED) == (before is Voice.BASELINE is not after)


@given(events)
def test_whatever_happened_either_can_still_come_to_speak_alone(happenings: list[Event]):
    helped = live([*happenings, *[Event.MODEL_HELPS] * 4])
    assert helped == [] or helped[-1][1] is Voice.MODEL
    assert live([*happenings, *[Event.BASELINE_HELPS] * 4])[-1][1] is Voice.BASELINE


def test_every_voice_has_a_share_and_level_changes_nothing():
    assert sorted(SHARES.values()) == [0, 0.25, 0.5, 0.75, 1]
    for voice in Voice:
        assert step(voice, Event.LEVEL) == (voice, Action.NOTHING)


@pytest.mark.parametrize(
    ("voice", "event"), [(Voice.MODEL, Event.MODEL_HELPS), (Voice.BASELINE, Event.BASELINE_HELPS)]
)
def test_there_is_nothing_beyond_all_or_none(voice: Voice, event: Event):
    with pytest.raises(KeyError):
        step(voice, event)


def test_the_drawing_begins_with_the_model():
    assert "[*] --> MODEL" in draw()
    assert "tell_retired" in draw()
