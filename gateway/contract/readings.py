"""Aggregates of a recording period, packed into a block and back. Pure."""

from collections.abc import Sequence

from firmware_bridge.measurand import BY_CODE
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.records import Aggregate, ReadingsBlock, RecordError

# What a damaged register shows may be 1e38 or infinite. Kept as this many quanta, it and its distance
# from any mean still fit the 64 bits of an integer on the wire.
_QUANTA_MAX = 2**62


def pack_block(
    aggregates: Sequence[Aggregate], *, start_us: UtcUs, period_us: int, first_us: UtcUs, last_us: UtcUs
) -> ReadingsBlock:
    """The block of one recording period; series are grouped by meter, in the order given."""
    columns = sorted(aggregates, key=lambda aggregate: aggregate.series.meter)
    meters, codes = name_series([aggregate.series for aggregate in columns])
    means = [_quanta(a.mean, a) for a in columns]
    return ReadingsBlock(
        start_us=start_us,
        period_us=period_us,
        first_us=first_us,
        last_us=last_us,
        meters=meters,
        measurand_codes=codes,
        mean=means,
        below_mean=[(mean or 0) - (_quanta(a.minimum, a) or 0) for mean, a in zip(means, columns, strict=True)],
        above_mean=[(_quanta(a.maximum, a) or 0) - (mean or 0) for mean, a in zip(means, columns, strict=True)],
        count=[a.count for a in columns],
        quality=bytes(a.quality for a in columns),
    )


def unpack_block(block: ReadingsBlock) -> list[Aggregate]:
    """The aggregates in `block`, rounded to the resolution of their measurand.

    Raises:
        RecordError: columns of unequal length, an unknown measurand or quality, a series given
            twice, or values that contradict each other.
    """
    series = named_series(block.meters, block.measurand_codes)
    columns = (block.mean, block.below_mean, block.above_mean, block.count, block.quality)
    if any(len(column) != len(series) for column in columns):
        raise RecordError("the columns of the block differ in length")
    return [_aggregate(*row) for row in zip(series, *columns, strict=True)]


def name_series(series: Sequence[Series]) -> tuple[list[str], list[bytes]]:
    """The names of meters, and for each the codes of its measurands; `series` has those of a meter side by side."""
    meters = list(dict.fromkeys(one.meter for one in series))
    return list(meters), [bytes(one.measurand.facts.code for one in series if one.meter == meter) for meter in meters]


def named_series(meters: Sequence[str], measurand_codes: Sequence[bytes]) -> list[Series]:
    """The series that `name_series` named.

    Raises:
        RecordError: other meters than columns, an unknown measurand, or a series given twice.
    """
    if len(meters) != len(measurand_codes):
        raise RecordError("the block names other meters than it has columns for")
    try:
        series = [
            Series(MeterId(meter), BY_CODE[code])
            for meter, codes in zip(meters, measurand_codes, strict=True)
            for code in codes
        ]
    except KeyError as error:
        raise RecordError(f"unknown measurand code {error}") from error
    if len(set(series)) != len(series):
        raise RecordError("the block has a series twice")
    return series


def _aggregate(series: Series, mean: int | None, below: int, above: int, count: int, quality: int) -> Aggregate:
    if quality not in Quality._value2member_map_:
        raise RecordError(f"unknown quality {quality}")
    if count < 0 or (mean is None) != (count == 0):
        raise RecordError("the block has values without polls or polls without values")
    if mean is None:
        return Aggregate(series, None, None, None, count, Quality(quality))
    if below < 0 or above < 0:
        raise RecordError("the block has a minimum above its mean or a maximum below its mean")
    quanta_per_unit = series.measurand.facts.quanta_per_unit
    return Aggregate(
        series,
        mean / quanta_per_unit,
        (mean - below) / quanta_per_unit,
        (mean + above) / quanta_per_unit,
        count,
        Quality(quality),
    )


def _quanta(value: float | None, aggregate: Aggregate) -> int | None:
    if value is None:
        return None
    quanta = value * aggregate.series.measurand.facts.quanta_per_unit
    return round(max(-_QUANTA_MAX, min(_QUANTA_MAX, quanta)))
