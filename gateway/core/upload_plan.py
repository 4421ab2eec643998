"""What is sent home, and when. Pure; takes `now`."""

import hashlib
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

from firmware_bridge.reading import US_PER_S, UtcUs

Share = Literal["health", "aggregates", "raw"]

_HEALTH = frozenset({"status", "model_report"})
_AGGREGATES = _HEALTH | {"readings", "forecast", "anomaly", "decision"}
# What leaves the site under each setting. A kind that stands nowhere here never leaves.
KINDS: dict[Share, frozenset[str]] = {
    "health": _HEALTH,
    "aggregates": _AGGREGATES,
    "raw": _AGGREGATES | {"raw"},
}

# A packed record begins with the head of its array and its kind, a string of less than 32 bytes.
_HEAD_BYTES = 33
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Of a period, at random on top of the phase: clocks of a fleet agree to the millisecond, its uploads need not.
JITTER_FRACTION = 0.05
# During a backlog the link, the card and the event loop rest as long as a batch took: half of them stays free
# for what is more urgent.
REST_FRACTION = 1.0
REST_S_MIN = 0.02
# A slow link is its own pace.
REST_S_MAX = 10.0


def phase_s(gateway: str, period_s: float) -> float:
    """When within each period this gateway sends: always the same for one, spread evenly over all of them."""
    digest = hashlib.sha256(gateway.encode()).digest()
    return period_s * int.from_bytes(digest[:8], "big") / 2**64


def until_turn_s(gateway: str, period_s: float, now_us: UtcUs, uniform: Callable[[], float]) -> float:
    """Seconds from `now_us` to the next upload: at most a period and its jitter.

    A duration and no instant: a clock that is set back by a year must not put the upload off by one.
    """
    period_us = max(1, round(period_s * US_PER_S))
    since_us = (now_us - round(phase_s(gateway, period_s) * US_PER_S)) % period_us
    return (period_us - since_us) / US_PER_S + JITTER_FRACTION * period_s * uniform()


def rest_s(took_s: float) -> float:
    """Seconds between a batch that took so long and the next one of a backlog."""
    return min(max(REST_FRACTION * took_s, REST_S_MIN), REST_S_MAX)


def kind_of(body: bytes) -> str:
    """The kind of a packed record, from its first bytes; for counting, so what is none of ours is "unknown"."""
    try:
        head = zlib.decompressobj().decompress(body, _HEAD_BYTES)
    except zlib.error:
        return "unknown"
    if len(head) < 2 or head[0] >> 4 != 0x9 or head[1] >> 5 != 0b101:  # fixarray, fixstr
        return "unknown"
    kind = head[2 : 2 + (head[1] & 0x1F)].decode("ascii", "replace")
    return kind if kind in KINDS["raw"] else "unknown"


def day_of(now_us: UtcUs, zone: tzinfo) -> date:
    """The day of the site in which `now_us` lies."""
    return (_EPOCH + timedelta(microseconds=now_us)).astimezone(zone).date()
