"""Meters that write down what they show before anybody reads it, and what the store has taken of that.

Both logs are appended to with one `write` a line, so they survive the death of the process that writes them.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, Self

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, ReadingsBlock

PERIOD_US = 60 * US_PER_S
POLLS = 60
SERIES = tuple(
    Series(MeterId(meter), measurand)
    for meter in ("grid", "solar")
    for measurand in (
        Measurand.ACTIVE_POWER_W,
        Measurand.VOLTAGE_V,
        Measurand.CURRENT_A,
        Measurand.FREQUENCY_HZ,
        Measurand.ENERGY_IMPORT_WH,
    )
)
_PLACES = list(enumerate(SERIES))
# In units of the measurand's resolution.
_QUANTA_MAX = 40_000


class Shown(NamedTuple):
    """What one series showed over a period: SI base units."""

    mean: float
    minimum: float
    maximum: float
    count: int


# By the start of the period; one for each of SERIES.
Given = dict[int, tuple[Shown, ...]]


class LoggedMeters:
    """Gives out blocks of made-up values, each written to `given` first; `kept` is for whoever takes them."""

    def __init__(self, folder: Path, chance: Random) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._given, self._kept = (os.open(folder / name, flags, 0o600) for name in ("given", "kept"))
        self._chance = chance

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._given)
        os.close(self._kept)

    def show(self, start_us: UtcUs) -> ReadingsBlock:
        """The block of the period from `start_us`."""
        # The first series misses no poll: by the fullest one the cloud knows how far the ticks lie apart.
        shown = [self._one(series, self._chance.randint(1, POLLS) if place else POLLS) for place, series in _PLACES]
        os.write(self._given, json.dumps([start_us, shown]).encode() + b"\n")
        return block(start_us, shown)

    def note_kept(self, start_us: UtcUs) -> None:
        """The store said that it has the block of this period."""
        os.write(self._kept, b"%d\n" % start_us)

    def _one(self, series: Series, count: int) -> Shown:
        quanta = sorted(self._chance.randrange(_QUANTA_MAX) for _ in range(3))
        low, mean, high = (one / series.measurand.facts.quanta_per_unit for one in quanta)
        return Shown(mean, low, high, count)


def block(start_us: UtcUs, shown: Sequence[Shown]) -> ReadingsBlock:
    """The block that says so."""
    return pack_block(
        [
            Aggregate(series, *one[:3], one.count, Quality.GOOD if one.count == POLLS else Quality.SUSPECT)
            for series, one in zip(SERIES, shown, strict=True)
        ],
        start_us=start_us,
        period_us=PERIOD_US,
        first_us=start_us,
        last_us=UtcUs(start_us + PERIOD_US - US_PER_S),
    )


def read_given(folder: Path) -> Given:
    """What the meters showed; no period twice."""
    given: Given = {}
    for line in (folder / "given").read_text().splitlines():
        start_us, shown = json.loads(line)
        assert start_us not in given, "a period is shown once"
        given[start_us] = tuple(Shown(*one) for one in shown)
    return given


def read_kept(folder: Path) -> set[int]:
    """The periods that the store said it has."""
    return {int(line) for line in (folder / "kept").read_text().splitlines()}
