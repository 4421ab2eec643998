"""How long to wait before trying again: longer after each failure, never in step with others. Pure."""

from collections.abc import Callable

# A restart loop of one service may cost this much attention at most: one try in half a second.
FLOOR_S = 0.5
FIRST_S = 2.0
# An outage of hours ends unnoticed for at most this long.
CAP_S = 300.0
# 2 ** 30 times any first delay is beyond any cap, and no overflow.
_DOUBLINGS_MAX = 30


def delay_s(failures: int, uniform: Callable[[], float], *, first_s: float = FIRST_S, cap_s: float = CAP_S) -> float:
    """Seconds to wait after `failures` failures in a row.

    Full jitter: anything between `FLOOR_S` and a ceiling that doubles from `first_s` up to `cap_s`,
    so that a fleet that failed together does not come back together.

    Args:
        failures: at least 1.
        uniform: source of random numbers in [0, 1).
        first_s: ceiling after the first failure, not below `FLOOR_S`.
        cap_s: highest ceiling, not below `first_s`.
    """
    assert failures >= 1
    assert FLOOR_S <= first_s <= cap_s
    ceiling_s = min(cap_s, first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX))
    return FLOOR_S + (ceiling_s - FLOOR_S) * uniform()
