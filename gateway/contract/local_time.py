"""Local wall time of many instants at once: offsets, and where "the same time earlier" lies. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gateway.contract.forecast_spec import DAY_US

_I64 = NDArray[np.int64]
_HALF_HOUR_US = 1_800_000_000
# Four weeks behind and a day ahead are 1,400 half-hours, and the next issue asks for the same ones again.
_OFFSETS_KEPT = 4096


def utc_offset_us(at_us: _I64, zone: ZoneInfo) -> _I64:
    """Local time minus UTC at each instant, microseconds.

    Clocks are changed on a full hour of UTC, on Lord Howe Island on a half.
    """
    halves, where = np.unique(at_us // _HALF_HOUR_US, return_inverse=True)
    offsets = np.array([_offset_us(int(half) * _HALF_HOUR_US, zone) for half in halves], dtype=np.int64)
    return offsets[where].reshape(at_us.shape)


def earlier_us(target_us: _I64, offset_us: _I64, days: int, zone: ZoneInfo) -> _I64:
    """The instants with the same local time `days` before each target, whose offsets are `offset_us`."""
    there_us = target_us - days * DAY_US
    return np.asarray(there_us + offset_us - utc_offset_us(there_us, zone))


@lru_cache(maxsize=_OFFSETS_KEPT)
def _offset_us(at_us: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1_000_000
