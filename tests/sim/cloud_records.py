"""Batches as a gateway sends them, small enough to check by hand."""

from collections.abc import Sequence

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from gateway.contract.batches import Batch, StoredRecord
from gateway.contract.readings import pack_block
from gateway.contract.records import (
    Aggregate,
    AnomalyRecord,
    DecisionRecord,
    ForecastRecord,
    ModelReport,
    ReadingsBlock,
    Record,
    StatusRecord,
    encode_record,
)

GATEWAY = "gw-1"
GATEWAYS = (GATEWAY, "gw-2")
GENERATION = "0123456789abcdef0123456789abcdef"
# 2024-01-01 00:00 UTC, a full day of the grid of days
START_US = UtcUs(1_704_067_200 * US_PER_S)
POLL_US = 60 * US_PER_S
STEP_US = 900 * US_PER_S


def block(
    start_us: int,
    samples: dict[tuple[str, Measurand], Sequence[float]],
    *,
    period_us: int = 5 * POLL_US,
    first_us: int | None = None,
) -> ReadingsBlock:
    """The block of series with one sample a poll from `first_us` (the start, when not given) on."""
    first_us = start_us if first_us is None else first_us
    polls = max((len(values) for values in samples.values()), default=1)
    aggregates = [
        Aggregate(Series(MeterId(meter), measurand), sum(v) / len(v), min(v), max(v), len(v), Quality.GOOD)
        if v
        else Aggregate(Series(MeterId(meter), measurand), None, None, None, 0, Quality.MISSING)
        for (meter, measurand), v in samples.items()
    ]
    last_us = first_us + (max(polls, 1) - 1) * POLL_US
    return pack_block(
        aggregates,
        start_us=UtcUs(start_us),
        period_us=period_us,
        first_us=UtcUs(first_us),
        last_us=UtcUs(last_us),
    )


def power(start_us: int, grid_w: Sequence[float], solar_w: Sequence[float] | None = None) -> ReadingsBlock:
    """A block with the active power of the grid meter, and of the solar meter when given."""
    samples = {("grid", Measurand.ACTIVE_POWER_W): grid_w}
    if solar_w is not None:
        samples["solar", Measurand.ACTIVE_POWER_W] = solar_w
    return block(start_us, samples)


def one_of_each() -> list[Record]:
    """A record of each kind but raw."""
    at_us = START_US
    return [
        power(at_us, [100.0, 200.0], [-50.0, -60.0]),
        ForecastRecord(
            *(at_us, "consumption_w", "model", "ab" * 32, at_us, STEP_US, [1, 2], [3, 4], [5, 60_000]),
            *("load_prediction", [6, 60_001], [2, 4, 60_000, 60_002]),
        ),
        AnomalyRecord(at_us, "spike", "grid.active_power_w", at_us, 9e5, -100.0, None, "A spike."),
        DecisionRecord(at_us, "normal", "All is well.", "model", "ab" * 32, 12_000, None, 0),
        ModelReport(at_us, "activated", 2, "ab" * 32, "verified"),
        StatusRecord(at_us, "started", "0.1.0", ""),
    ]


def batch(
    records: Sequence[Record | bytes],
    *,
    first: int = 1,
    gateway: str = GATEWAY,
    generation: str = GENERATION,
    recorded_us: Sequence[int] | None = None,
    acknowledged: int = 0,
) -> Batch:
    """`records` (or bytes that are none) with consecutive sequences, recorded a second apart."""
    stamps = recorded_us or [START_US + i * US_PER_S for i in range(len(records))]
    return Batch(
        gateway,
        generation,
        acknowledged,
        [
            StoredRecord(first + i, UtcUs(at_us), one if isinstance(one, bytes) else encode_record(one))
            for i, (one, at_us) in enumerate(zip(records, stamps, strict=True))
        ],
    )
