"""Items second by second, computed a minute at a time."""

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.noise import I64

# 60 instants cost as much as one (numpy's overhead), and the requests of one sweep fall into one
# minute also when simulated time races.
_MINUTE_S = 60

T = TypeVar("T")


class Minute(Generic[T]):
    """The last minute that was asked for."""

    def __init__(self, compute: Callable[[I64], list[T]]) -> None:
        """Let `compute` give one item for each instant of a minute."""
        self._compute = compute
        self._minute: int | None = None
        self._items: list[T] = []

    def at(self, at_s: int) -> T:
        """The item of that second."""
        minute, second = divmod(at_s, _MINUTE_S)
        if minute != self._minute:
            seconds = minute * _MINUTE_S + np.arange(_MINUTE_S, dtype=np.int64)
            self._items, self._minute = self._compute(seconds * US_PER_S), minute
        return self._items[second]
