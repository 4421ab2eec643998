"""Blocks of readings as rows, and rows as the bytes of a binary COPY. Pure.

The format is PostgreSQL's own ("COPY, Binary Format"): each field is preceded by its length, all of it in
network order. Rows with values have one fixed width and rows without another, so that NumPy lays them out
without touching a single one in Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import numpy as np
from numpy.typing import NDArray

from cloud_trainer.ingest.columns import F64, I64, Columns
from gateway.contract.records import ReadingsBlock

COPY_READINGS: LiteralString = """
COPY reading_row (sequence, period_start, generation_id, series_id, count, quality, mean, minimum, maximum)
FROM STDIN (FORMAT BINARY)
"""

# timestamptz counts microseconds from 2000-01-01.
_PG_EPOCH_US = 946_684_800_000_000
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

_FIXED = (
    ("sequence", ">i8"), ("period_start", ">i8"), ("generation_id", ">i4"), ("series_id", ">i4"), ("count", ">i4"),
    ("quality", ">i2"),
)  # fmt: skip
_VALUES = ("mean", "minimum", "maximum")
_NULL = -1


@dataclass(frozen=True, slots=True)
class ReadingRows:
    """The rows of several blocks, `[row]`; the three values are NaN exactly where `count` is 0."""

    sequence: I64
    period_start_us: I64
    series_id: I64
    mean: F64
    minimum: F64
    maximum: F64
    count: I64
    quality: NDArray[np.uint8]
    # of the block a row belongs to
    period_us: I64
    tick_us: I64
    building: NDArray[np.bool_]


def reading_rows(blocks: Sequence[tuple[int, ReadingsBlock, Columns, I64]]) -> ReadingRows:
    """The rows of `blocks`: sequence, block, its columns, the numbers of its series. At least one."""
    sequences, read, columns, numbers = zip(*blocks, strict=True)
    widths = [len(one) for one in numbers]

    def spread(values: Sequence[int]) -> I64:
        return np.repeat(np.array(values, dtype=np.int64), widths)

    return ReadingRows(
        spread(sequences),
        spread([block.start_us for block in read]),
        np.concatenate(numbers),
        np.concatenate([one.mean for one in columns]),
        np.concatenate([one.minimum for one in columns]),
        np.concatenate([one.maximum for one in columns]),
        np.concatenate([one.count for one in columns]),
        np.concatenate([one.quality for one in columns]),
        spread([block.period_us for block in read]),
        spread([one.tick_us for one in columns]),
        np.concatenate([one.building for one in columns]),
    )


def copy_bytes(rows: ReadingRows, generation_id: int) -> bytes:
    """What follows COPY_READINGS on the wire."""
    has_values = rows.count > 0
    parts = [_laid_out(rows, np.flatnonzero(has_values), generation_id, _WITH_VALUES)]
    if not has_values.all():
        parts.append(_laid_out(rows, np.flatnonzero(~has_values), generation_id, _WITHOUT_VALUES))
    return b"".join((_HEADER, *parts, _TRAILER))


def _laid_out(rows: ReadingRows, which: NDArray[np.intp], generation_id: int, template: NDArray[np.void]) -> bytes:
    out = np.repeat(template, len(which))
    out["sequence"] = rows.sequence[which]
    out["period_start"] = rows.period_start_us[which] - _PG_EPOCH_US
    out["generation_id"] = generation_id
    out["series_id"] = rows.series_id[which]
    out["count"] = rows.count[which]
    out["quality"] = rows.quality[which]
    if template is _WITH_VALUES:
        out["mean"], out["minimum"], out["maximum"] = rows.mean[which], rows.minimum[which], rows.maximum[which]
    return out.tobytes()


def _template(fields: Sequence[tuple[str, str]], nulls: int) -> NDArray[np.void]:
    """One row with the number of its fields and their lengths filled in; `nulls` fields follow that have no bytes."""
    kinds: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in fields:
        kinds += [(f"{name}_bytes", ">i4"), (name, kind)]
    kinds += [(f"null_{number}", ">i4") for number in range(nulls)]
    row = np.zeros(1, dtype=kinds)
    row["fields"] = len(fields) + nulls
    for name, kind in fields:
        row[f"{name}_bytes"] = np.dtype(kind).itemsize
    for number in range(nulls):
        row[f"null_{number}"] = _NULL
    return row


_WITH_VALUES = _template([*_FIXED, *((name, ">f8") for name in _VALUES)], 0)
_WITHOUT_VALUES = _template(_FIXED, len(_VALUES))
