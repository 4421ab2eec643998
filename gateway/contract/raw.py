"""Single readings, packed into blocks and back. Pure.

Neighbours in time differ little, so a value is kept as its distance from the one before. A site's take half a byte
each in the end, and pure noise three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from firmware_bridge.reading import Quality, Series, UtcUs
from gateway.contract.inputs import F64
from gateway.contract.readings import name_series, named_series
from gateway.contract.records import RECORD_BYTES_MAX, RawBlock, RecordError

U8 = NDArray[np.uint8]
Why = Literal["anomaly", "request", "setting"]

# Five minutes of 200 series at 1 Hz: some 30 kB packed, or six times that of pure noise.
RAW_VALUES_MAX = 60_000
# Compression adds this much at worst, to values that are all noise.
_INCOMPRESSIBLE_BYTES = 1024
# A value beyond is a damaged register's nonsense; the distance between two of these still fits 64 bits.
_QUANTA_MAX = 2.0**61


@dataclass(frozen=True, slots=True)
class RawReadings:
    """Some series over some ticks, as a block tells them.

    `values` and `quality` are [series, time]; a value is NaN exactly where its quality is MISSING.
    """

    ticks: list[UtcUs]
    series: list[Series]
    values: F64
    quality: U8


def pack_raw(ticks: Sequence[UtcUs], series: Sequence[Series], values: F64, quality: U8, why: Why) -> list[RawBlock]:
    """Blocks of these readings, in the order of time, each within the limits of a record.

    `values` and `quality` are [series, time]; ticks rise. NaN is MISSING. Series are grouped by meter.
    """
    order = sorted(range(len(series)), key=lambda column: series[column].meter)
    grouped = [series[column] for column in order]
    per_block = max(1, RAW_VALUES_MAX // max(1, len(series)))
    blocks: list[RawBlock] = []
    for first in range(0, len(ticks), per_block):
        part = slice(first, first + per_block)
        blocks += _blocks(ticks[part], grouped, values[order, part], quality[order, part], why)
    return blocks


def unpack_raw(block: RawBlock) -> RawReadings:
    """The readings in `block`, rounded to the resolution of their measurand.

    Raises:
        RecordError: too many values, columns of unequal length, an unknown measurand or quality, a series given
            twice, ticks that do not rise, or values that contradict their quality.
    """
    series, length = named_series(block.meters, block.measurand_codes), len(block.ticks_us)
    if len(series) * length > RAW_VALUES_MAX:
        raise RecordError(f"the block has more than {RAW_VALUES_MAX} values")
    if not len(series) == len(block.values) == len(block.quality):
        raise RecordError("the block has other series than columns")
    if any(len(column) != length for column in (*block.values, *block.quality)):
        raise RecordError("the columns of the block differ in length")
    if any(after <= before for before, after in pairwise((-1, *block.ticks_us))):
        raise RecordError("the ticks of the block do not rise")
    columns = [_values(*column) for column in zip(series, block.values, block.quality, strict=True)]
    return RawReadings(
        ticks=[UtcUs(block.start_us + tick_us) for tick_us in block.ticks_us],
        series=series,
        values=np.array(columns, dtype=np.float64).reshape(len(series), length),
        quality=np.frombuffer(b"".join(block.quality), dtype=np.uint8).reshape(len(series), length),
    )


def _blocks(ticks: Sequence[UtcUs], series: Sequence[Series], values: F64, quality: U8, why: Why) -> list[RawBlock]:
    """One block, or two halves: values that are all noise may be larger packed than a record may be."""
    block = _block(ticks, series, values, quality, why)
    if len(ticks) == 1 or len(msgspec.msgpack.encode(block)) <= RECORD_BYTES_MAX - _INCOMPRESSIBLE_BYTES:
        return [block]
    middle = len(ticks) // 2
    return [
        half
        for part in (slice(None, middle), slice(middle, None))
        for half in _blocks(ticks[part], series, values[:, part], quality[:, part], why)
    ]


def _block(ticks: Sequence[UtcUs], series: Sequence[Series], values: F64, quality: U8, why: Why) -> RawBlock:
    meters, codes = name_series(series)
    none = np.isnan(values) | (quality == Quality.MISSING)
    return RawBlock(
        start_us=ticks[0],
        reason=why,
        ticks_us=[tick_us - ticks[0] for tick_us in ticks],
        meters=meters,
        measurand_codes=codes,
        values=[_distances(*column) for column in zip(series, values, none, strict=True)],
        quality=[bytes(column) for column in np.where(none, np.uint8(Quality.MISSING), quality)],
    )


def _distances(series: Series, values: F64, none: NDArray[np.bool_]) -> list[int | None]:
    """Each value as the distance from the one before it; None where there is none."""
    quanta = np.rint(values[~none] * series.measurand.facts.quanta_per_unit)
    known = np.clip(quanta, -_QUANTA_MAX, _QUANTA_MAX).astype(np.int64)
    distances = iter(np.diff(known, prepend=0).tolist())
    return [None if is_none else next(distances) for is_none in none.tolist()]


def _values(series: Series, distances: Sequence[int | None], quality: bytes) -> list[float]:
    if any(one not in Quality._value2member_map_ for one in quality):
        raise RecordError("unknown quality")
    if any((distance is None) != (one == Quality.MISSING) for distance, one in zip(distances, quality, strict=True)):
        raise RecordError("the block has values that are missing, or misses values that it has")
    quanta = accumulate(distance or 0 for distance in distances)
    quanta_per_unit = series.measurand.facts.quanta_per_unit
    return [
        float("nan") if distance is None else total / quanta_per_unit
        for distance, total in zip(distances, quanta, strict=True)
    ]
