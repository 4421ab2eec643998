"""What came home, compared value by value with what the meters showed."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.sim.logged_meters import SERIES, Given, Shown

_PLACES = {(series.meter, series.measurand.value): place for place, series in enumerate(SERIES)}

_ROWS = """
SELECT round(extract(epoch FROM period_start) * 1e6)::bigint, meter, measurand, mean, minimum, maximum, count
FROM reading WHERE gateway_id = %s
"""
# What the rollup must say, by its own rule: rows without holes alone; here each of a period has the same ticks.
_ROLLUP = """
SELECT (SELECT sum(count) FROM rollup_15min WHERE gateway_id = %(gateway)s),
       (SELECT sum(count) FROM reading WHERE gateway_id = %(gateway)s)
"""


@dataclass(frozen=True)
class Arrival:
    """Values, each of one series over one period. `given` are all that were shown."""

    given: int
    kept: int
    # that the store said it has, and the cloud has not
    lost: int
    # that the cloud has more than once
    duplicate: int
    # that the cloud has otherwise than they were shown, or that were never shown
    different: int
    # that the store had when it was killed before it could say so
    unsaid: int

    @property
    def is_whole(self) -> bool:
        return not (self.lost or self.duplicate or self.different)


def compare(connection: psycopg.Connection[Any], gateway: str, given: Given, kept: Collection[int]) -> Arrival:
    """Every value there is, on both sides."""
    seen: Counter[tuple[int, int]] = Counter()
    different = 0
    for start_us, meter, measurand, *values in connection.execute(_ROWS, (gateway,)):
        place = _PLACES.get((meter, measurand))
        shown = given.get(start_us)
        if place is None or shown is None or shown[place] != Shown(*values):
            different += 1
        if place is not None:
            seen[start_us, place] += 1
    width = len(SERIES)
    lost = sum((start_us, place) not in seen for start_us in kept for place in range(width))
    return Arrival(
        given=len(given) * width,
        kept=len(kept) * width,
        lost=lost,
        duplicate=sum(count - 1 for count in seen.values()),
        different=different,
        unsaid=sum(start_us not in kept for start_us, _ in seen),
    )


def counts_of_rollup(connection: psycopg.Connection[Any], gateway: str) -> tuple[int, int]:
    """How many polls the quarter hours are made of, and the readings."""
    row = connection.execute(_ROLLUP, {"gateway": gateway}).fetchone()
    assert row is not None
    return int(row[0] or 0), int(row[1] or 0)
