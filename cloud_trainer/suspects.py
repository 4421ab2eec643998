"""Whether a row is what the meters gave out, less the values that the gateway did not believe. Pure."""

from collections.abc import Mapping
from itertools import combinations
from math import comb

import numpy as np

from cloud_trainer.simulator_log import F64

# Choices of values to leave out that are tried: of 60 in a minute, any two or all but two.
CHOICES_MAX = 5_000


def is_all_but_some(values: F64, count: int, row: Mapping[str, float], *, rtol: float, atol: float) -> bool:
    """Whether mean, minimum and maximum in `row` are those of some `count` of the `values`.

    Where there are too many choices to try, its extremes must be among the values, and its mean between
    those of the smallest and of the largest `count`.
    """
    if not 0 < count < len(values):
        return False

    def fits(one: float, other: float) -> bool:
        return bool(np.isclose(one, other, rtol=rtol, atol=atol))

    ordered = np.sort(values)
    if comb(len(values), count) > CHOICES_MAX:
        slack = atol + rtol * abs(row["mean"])
        is_between = ordered[:count].mean() - slack <= row["mean"] <= ordered[-count:].mean() + slack
        are_there = all(np.isclose(values, row[one], rtol=rtol, atol=atol).any() for one in ("minimum", "maximum"))
        return bool(is_between and are_there)
    return any(
        fits(sum(kept) / count, row["mean"]) and fits(kept[0], row["minimum"]) and fits(kept[-1], row["maximum"])
        for kept in combinations(ordered.tolist(), count)
    )
