import numpy as np
import psycopg
import pytest

from cloud_trainer.ingest.arrays import ArrayDumper
from cloud_trainer.ingest.columns import F64, I64

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def test_arrays_arrive_as_they_were(dsn: str) -> None:
    columns: list[I64 | F64] = [
        np.array([], dtype=np.int64),
        np.array([0, -1, 2**63 - 1, -(2**63)]),
        np.array([], dtype=np.float64),
        np.array([0.1, -1e300, 5e-324]),
        np.arange(10)[::3],
    ]
    with psycopg.connect(dsn) as connection:
        connection.adapters.register_dumper(np.ndarray, ArrayDumper)
        for column in columns:
            row = connection.execute("SELECT %b, pg_typeof(%b)::text", (column, column)).fetchone()
            kind = "bigint[]" if column.dtype == np.int64 else "double precision[]"
            assert row == (column.tolist(), kind)
