"""The columns of a Parquet file, a batch at a time. A shell; needs pyarrow, which comes with the extra `trainer`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cloud_trainer.sources.csv_rows import ROWS_MAX
from cloud_trainer.sources.numbers import NumberColumn
from cloud_trainer.sources.stamps import StampColumn
from firmware_bridge.errors import SettingError
from gateway.contract.inputs import F64

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

# Some megabytes at a time.
_BATCH_ROWS = 64 * 1024
_SHOWN_COLUMNS = 20


def read_parquet(path: Path, time_column: str, stamps: StampColumn, numbers: list[NumberColumn]) -> None:
    """Give all rows of the file to `stamps` and `numbers`, which know the names of their columns.

    Raises:
        SettingError: it cannot be read, a column is missing or of a kind that says nothing, or pyarrow is not there.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        next_step = "install smartwatts-edge[trainer], or give CSV"
        raise SettingError("data", str(path), "is Parquet, which needs pyarrow", next_step) from error
    names = [time_column, *(one.name for one in numbers)]
    try:
        with parquet.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            _check(path, file, names)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                _add_stamps(batch.column(time_column), stamps)
                for one in numbers:
                    _add_numbers(batch.column(one.name), one)
    except (OSError, pyarrow.ArrowException) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise SettingError("data", str(path), f"cannot be read ({problem})", "write it again") from error


def _check(path: Path, file: "parquet.ParquetFile", names: list[str]) -> None:
    there = file.schema_arrow.names
    for name in names:
        if there.count(name) != 1:
            shown = ", ".join(there[:_SHOWN_COLUMNS])
            problem = f"is not in {path.name} once, which has: {shown}"
            raise SettingError("column", repr(name), problem, "name one of those")
    if file.metadata.num_rows > ROWS_MAX:
        raise SettingError("data", str(path), f"has more than {ROWS_MAX} rows", "cut it, or give longer intervals")


def _add_stamps(column: "pyarrow.Array", stamps: StampColumn) -> None:
    import pyarrow

    kind = column.type
    if pyarrow.types.is_date(kind):
        column, kind = column.cast(pyarrow.timestamp("us")), pyarrow.timestamp("us")
    if not pyarrow.types.is_timestamp(kind):
        for cell in _texts(column):
            stamps.add(cell)
        return
    known = column.is_valid().to_numpy(zero_copy_only=False)
    us = column.cast(pyarrow.timestamp("us", kind.tz), safe=False).cast(pyarrow.int64()).fill_null(0)
    stamps.extend(us.to_numpy().astype(np.int64), known, is_utc=kind.tz is not None)


def _add_numbers(column: "pyarrow.Array", numbers: NumberColumn) -> None:
    import pyarrow

    types, kind = pyarrow.types, column.type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        numbers.extend(_floats(column))
        return
    for cell in _texts(column):
        numbers.add(cell)


def _floats(column: "pyarrow.Array") -> F64:
    import pyarrow

    return np.asarray(column.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _texts(column: "pyarrow.Array") -> Iterator[str]:
    """The cells as text; empty where there is none."""
    return ("" if cell is None else str(cell).strip() for cell in column.to_pylist())
