from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.reading import US_PER_S, SteadyUs, UtcUs
from gateway.core.timekeeping import SLEW_US_MAX, STEP_US_MIN, ClockSet, Timekeeping

NOW_US = UtcUs(1_772_366_400_000_000)
HOUR_US = 3600 * US_PER_S
YEAR_US = 365 * 24 * HOUR_US
A_LIFE_US = 100 * YEAR_US


def steady(us: int) -> SteadyUs:
    return SteadyUs(5 * US_PER_S + us)


def begun(clock_us: int = NOW_US, *, is_trusted: bool = True) -> Timekeeping:
    return Timekeeping(steady(0), UtcUs(clock_us), is_trusted=is_trusted)


def look(time: Timekeeping, after_us: int, clock_us: int, *, is_trusted: bool = True) -> ClockSet | None:
    return time.look(steady(after_us), UtcUs(clock_us), is_trusted=is_trusted)


def test_time_runs_steadily_between_two_looks():
    assert begun().now_us(steady(HOUR_US)) == NOW_US + HOUR_US


def test_a_clock_that_runs_as_it_should_is_no_news():
    time = begun()
    assert [look(time, n * HOUR_US, NOW_US + n * HOUR_US) for n in range(1, 50)] == [None] * 49


def test_a_clock_that_is_set_while_it_is_trusted_is_followed_and_told():
    for by_us in (-HOUR_US, 10 * YEAR_US, STEP_US_MIN):
        time = begun()
        assert look(time, HOUR_US, NOW_US + HOUR_US + by_us) == ClockSet(by_us, was_trusted=True)
        assert time.now_us(steady(HOUR_US)) == NOW_US + HOUR_US + by_us
        assert look(time, HOUR_US, NOW_US + HOUR_US + by_us) is None


def test_what_a_time_server_corrects_is_followed_slowly_and_is_no_news():
    for by_us in (-STEP_US_MIN + 1, STEP_US_MIN - 1):
        time, looks = begun(), 0
        while (missing_us := NOW_US + by_us - time.now_us(steady(0))) != 0:
            assert look(time, 0, NOW_US + by_us) is None
            moved_us = abs(missing_us) - abs(NOW_US + by_us - time.now_us(steady(0)))
            assert 0 < moved_us <= SLEW_US_MAX
            looks += 1
        assert looks == STEP_US_MIN // SLEW_US_MAX


def test_a_board_without_a_battery_is_told_the_time_after_an_hour():
    time = begun(0, is_trusted=False)
    assert look(time, US_PER_S, US_PER_S, is_trusted=False) is None
    assert not time.is_trusted
    news = look(time, HOUR_US, NOW_US)
    assert news == ClockSet(NOW_US - HOUR_US, was_trusted=False)
    assert time.is_trusted
    assert time.now_us(steady(HOUR_US)) == NOW_US


def test_a_guess_that_was_right_is_trusted_without_a_jump_and_told():
    time = begun(is_trusted=False)
    assert look(time, HOUR_US, NOW_US + HOUR_US) == ClockSet(0, was_trusted=False)


def test_a_clock_that_is_set_by_hand_is_a_better_guess():
    time = begun(0, is_trusted=False)
    assert look(time, HOUR_US, NOW_US, is_trusted=False) == ClockSet(NOW_US - HOUR_US, was_trusted=False)
    assert not time.is_trusted
    assert look(time, HOUR_US, NOW_US + 5 * US_PER_S) == ClockSet(5 * US_PER_S, was_trusted=False)


def test_a_kernel_that_forgets_its_time_server_is_still_trusted():
    time = begun()
    assert look(time, HOUR_US, NOW_US + HOUR_US, is_trusted=False) is None
    assert time.is_trusted


def test_a_guess_is_not_before_the_newest_instant_on_disk():
    time = begun(0, is_trusted=False)
    time.not_before(NOW_US, steady(US_PER_S))
    assert time.now_us(steady(US_PER_S)) == NOW_US
    assert look(time, HOUR_US, HOUR_US, is_trusted=False) is None, "1970 is no better than that"
    assert time.now_us(steady(US_PER_S)) == NOW_US


def test_a_time_server_that_contradicts_the_disk_is_followed_and_not_trusted():
    time = begun()
    time.not_before(UtcUs(NOW_US + YEAR_US), steady(0))
    assert not time.is_trusted
    assert time.now_us(steady(0)) == NOW_US
    assert look(time, HOUR_US, NOW_US + HOUR_US) is None
    assert not time.is_trusted


def test_the_cloud_outranks_the_disk():
    time = begun()
    time.not_before(UtcUs(NOW_US + YEAR_US), steady(0))
    time.believe()
    assert look(time, HOUR_US, NOW_US + HOUR_US) == ClockSet(0, was_trusted=False)
    assert time.is_trusted


def test_a_time_server_that_comes_late_corrects_what_was_guessed_from_the_disk():
    time = begun(0, is_trusted=False)
    time.not_before(UtcUs(NOW_US + YEAR_US), steady(0))  # written while the clock ran ahead
    assert look(time, 0, NOW_US) == ClockSet(-YEAR_US, was_trusted=False)
    assert not time.is_trusted
    assert time.now_us(steady(0)) == NOW_US


def test_a_restart_of_seconds_is_no_contradiction():
    time = begun()
    time.not_before(UtcUs(NOW_US + US_PER_S), steady(0))
    assert time.is_trusted


@given(
    st.integers(0, A_LIFE_US),
    st.lists(st.tuples(st.integers(0, HOUR_US), st.integers(-A_LIFE_US, A_LIFE_US), st.booleans()), max_size=20),
)
def test_news_account_for_every_difference_but_what_is_followed_slowly(
    clock_us: int, looks: list[tuple[int, int, bool]]
):
    time, elapsed_us, ahead_us = begun(clock_us, is_trusted=False), 0, clock_us
    for pause_us, set_by_us, is_trusted in looks:
        elapsed_us += pause_us
        clock_us = max(0, clock_us + pause_us + set_by_us)
        before_us, was_trusted = time.now_us(steady(elapsed_us)), time.is_trusted
        news = look(time, elapsed_us, clock_us, is_trusted=is_trusted)
        after_us = time.now_us(steady(elapsed_us))
        assert time.is_trusted == (was_trusted or is_trusted)
        if news is None:
            assert abs(after_us - before_us) <= SLEW_US_MAX
        else:
            assert news == ClockSet(after_us - before_us, was_trusted)
            assert after_us == clock_us
        assert abs(clock_us - after_us) < STEP_US_MIN
        ahead_us = after_us - elapsed_us
    assert time.now_us(steady(elapsed_us)) == elapsed_us + ahead_us
