"""Local wall time of a site from instants UTC, many at once. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.noise import I64

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
# Clocks are changed on a full hour of UTC, on Lord Howe Island on a half.
_STEP_S = 1_800


class WallClock:
    """One zone's offset from UTC."""

    def __init__(self, time_zone: str) -> None:
        """Know the zone `time_zone`, an IANA name.

        Raises:
            SettingError: there is no such zone.
        """
        self._is_utc = time_zone == "UTC"
        self._zone = zone_named(time_zone)

    def local_s(self, at_us: I64) -> I64:
        """Seconds that the wall clock would count since the epoch if it had never been changed; `[n]`."""
        at_s = at_us // US_PER_S
        if self._is_utc or not at_s.size:
            return at_s
        steps = at_s // _STEP_S
        if steps[0] == steps[-1] and steps.min() == steps.max():
            return at_s + _offset_s(self._zone, int(steps[0]))
        found, where = np.unique(steps, return_inverse=True)
        offsets = np.array([_offset_s(self._zone, step) for step in found.tolist()], dtype=np.int64)
        return np.asarray(at_s + offsets[where])


def zone_named(time_zone: str) -> ZoneInfo:
    """The zone of that IANA name.

    Raises:
        SettingError: there is none.
    """
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingError(
            "time_zone", repr(time_zone), "is not a known zone", 'give an IANA name, "Africa/Lagos"'
        ) from error


@lru_cache(maxsize=4096)
def _offset_s(zone: ZoneInfo, step: int) -> int:
    offset = datetime.fromtimestamp(step * _STEP_S, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
