from hypothesis import given
from hypothesis import strategies as st

from gateway.core.backoff import CAP_S, FIRST_S, FLOOR_S, delay_s

UNIT = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10**9), UNIT)
def test_every_delay_lies_between_floor_and_cap(failures: int, drawn: float):
    assert FLOOR_S <= delay_s(failures, lambda: drawn) <= CAP_S


def test_the_ceiling_doubles_until_the_cap():
    ceilings = [delay_s(failures, lambda: 1.0) for failures in range(1, 12)]
    assert ceilings[:4] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert ceilings[-1] == CAP_S
    assert ceilings == sorted(ceilings)


def test_the_jitter_is_full_so_the_shortest_delay_never_grows():
    assert {delay_s(failures, lambda: 0.0) for failures in range(1, 12)} == {FLOOR_S}


@given(st.integers(1, 40), UNIT, st.floats(FLOOR_S, 100), st.floats(100, 10_000))
def test_own_bounds_are_kept(failures: int, drawn: float, first_s: float, cap_s: float):
    assert FLOOR_S <= delay_s(failures, lambda: drawn, first_s=first_s, cap_s=cap_s) <= cap_s
