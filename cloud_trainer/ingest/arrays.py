"""Columns of numbers as parameters of a statement: NumPy arrays in PostgreSQL's binary form of an array. Pure.

psycopg dumps a list element by element in Python; an array is laid out at once.
"""

import struct
from typing import Any, Self

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper, PyFormat
from psycopg.pq import Format

# What an element is there: its number among the types, that of its array, and its bytes in network order.
_TYPES = {
    np.dtype(np.int64): (20, 1016, ">i8"),
    np.dtype(np.float64): (701, 1022, ">f8"),
}
_BYTES = 8


class ArrayDumper(Dumper):
    """Dumps arrays of one dimension, of int64 as bigint[] and of float64 as double precision[]."""

    format = Format.BINARY

    def get_key(self, obj: NDArray[Any], format: PyFormat) -> Any:  # noqa: A002, ANN401, ARG002 - its signature
        """What arrays have in common that one dumper serves."""
        return (self.cls, obj.dtype)

    def upgrade(self, obj: NDArray[Any], format: PyFormat) -> Self:  # noqa: A002, ARG002 - its signature
        """The dumper for arrays like this one."""
        dumper = type(self)(self.cls)
        _, dumper.oid, _ = _TYPES[obj.dtype]
        return dumper

    def dump(self, obj: NDArray[Any]) -> Buffer:
        """The bytes: dimensions, NULLs, type, size, lower bound, then each element after its length."""
        element, _, order = _TYPES[obj.dtype]
        laid_out = np.empty(len(obj), dtype=[("bytes", ">i4"), ("value", order)])
        laid_out["bytes"] = _BYTES
        laid_out["value"] = obj
        return struct.pack(">iIIii", 1, 0, element, len(obj), 1) + laid_out.tobytes()


psycopg.adapters.register_dumper(np.ndarray, ArrayDumper)
