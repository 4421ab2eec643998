"""Noise without state: numbers that depend on (seed, stream, bucket) alone. Pure.

A generator with a state would give other values after a restart, or when instants are asked in
another order. Here every process gets the same number for the same instant, as from a table.
The mixing function is the finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_MASK = 2**64 - 1
_UNIT = 2.0**-53

# As arrays, since numpy multiplies scalars of uint64 with a warning when they wrap.
_GOLDEN_U64 = np.array(_GOLDEN, dtype=np.uint64)
_FIRST_U64 = np.array(_FIRST, dtype=np.uint64)
_SECOND_U64 = np.array(_SECOND, dtype=np.uint64)
_S30, _S27, _S31, _S11 = (np.array(bits, dtype=np.uint64) for bits in (30, 27, 31, 11))


class Noise:
    """Independent streams of uniform numbers in [0, 1), one per root."""

    def __init__(self, seed: int, streams: int) -> None:
        roots = [stream_root(seed, stream) for stream in range(streams)]
        self._roots = np.array(roots, dtype=np.uint64)[:, np.newaxis]

    def uniform(self, buckets: I64) -> F64:
        """Row `i` of `buckets`, `[streams, n]`, drawn from stream `i`."""
        mixed = buckets.astype(np.uint64)
        mixed *= _GOLDEN_U64
        mixed += self._roots
        mixed ^= mixed >> _S30
        mixed *= _FIRST_U64
        mixed ^= mixed >> _S27
        mixed *= _SECOND_U64
        mixed ^= mixed >> _S31
        mixed >>= _S11
        return np.asarray(mixed * _UNIT)

    def smooth(self, at_s: I64, periods_s: I64) -> F64:
        """Curves in [0, 1) without a step, `[streams, n]`: each meets a new draw every period of its own."""
        buckets, rest_s = np.divmod(at_s, periods_s[:, np.newaxis])
        before, after = self.uniform(buckets), self.uniform(buckets + 1)
        share = 0.5 - 0.5 * np.cos(np.pi * rest_s / periods_s[:, np.newaxis])
        return np.asarray(before + (after - before) * share)


def stream_root(seed: int, stream: int) -> int:
    """Where a stream of a seed begins."""
    return _mix((_mix(seed & _MASK) + (stream + 1) * _GOLDEN) & _MASK)


def uniform_at(root: int, bucket: int) -> float:
    """The same number as `Noise.uniform`, for one stream and bucket, without an array."""
    return (_mix((bucket * _GOLDEN + root) & _MASK) >> 11) * _UNIT


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)
