import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.answer_time import GRANULARITY_S, PROBE_S, PROBES_SHORT, AnswerTime

TIMEOUT_S = 2.0


def learned(*took_s: float) -> AnswerTime:
    answer_time = AnswerTime(TIMEOUT_S)
    for one in took_s:
        answer_time.learn(one)
    return answer_time


def test_a_device_that_never_answered_gets_all_there_is_then_a_probe():
    deadlines_s = [AnswerTime(TIMEOUT_S).deadline_s(silences) for silences in range(2 * (PROBES_SHORT + 1) + 1)]
    assert deadlines_s == [TIMEOUT_S, PROBE_S, PROBE_S, PROBE_S, TIMEOUT_S, PROBE_S, PROBE_S, PROBE_S, TIMEOUT_S]


def test_a_device_that_answers_at_once_is_waited_for_as_long_as_a_busy_gateway_may_look_away():
    assert learned(*[0.005] * 50).deadline_s(0) == pytest.approx(0.005 + GRANULARITY_S)


def test_a_slow_device_gets_its_time_and_one_that_wavers_more():
    steady, wavering = learned(*[0.5] * 50), learned(*[0.3, 0.7] * 25)
    assert 0.5 < steady.deadline_s(0) <= 0.65
    assert wavering.deadline_s(0) > 0.7


def test_each_silence_doubles_the_deadline_twice():
    deadlines_s = [learned(*[0.025] * 50).deadline_s(silences) for silences in range(4)]
    assert deadlines_s == pytest.approx([0.175, 0.35, 0.7, 0.7])


@pytest.mark.parametrize("silences", range(4))
def test_a_small_time_out_of_the_installer_holds(silences: int):
    short = AnswerTime(0.05)
    short.learn(10.0)
    assert short.deadline_s(silences) == AnswerTime(0.05).deadline_s(silences) == 0.05


@given(st.lists(st.floats(-1, 1e6)), st.integers(0, 10_000))
def test_no_deadline_is_beyond_the_time_out(took_s: list[float], silences: int):
    assert 0 < learned(*took_s).deadline_s(silences) <= TIMEOUT_S


def test_a_device_that_became_slow_is_found_again():
    answer_time = learned(*[0.01] * 100)
    assert max(answer_time.deadline_s(silences) for silences in range(PROBES_SHORT + 2)) == TIMEOUT_S
