"""The only reader of time in our packages, and the only sleeper beside fine_timer.py. A shell.

`SystemClock` is the machine's time. `ScaledClock` lets the real programs live weeks in minutes:
stamps and schedules scale, deadlines of I/O stay real. All processes of such a run read one small
file, the origin, so a gateway that was killed resumes in the right simulated instant.
"""

import asyncio
import mmap
import os
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs

# A dead or stopped gateway must not stop the simulated world: a time that is held stands still for
# at most this much real time. Three seconds are far above the slowest tick of a busy machine, where half
# a second was not: time then leapt in the middle of a sweep.
HOLD_S_MAX = 3.0
# Thirty years in a second: beyond is a damaged file, or a slip.
RATE_MAX = 1e9

_MAGIC = b"SWCLOCK1"
_HEAD = struct.Struct("<8s36s4xQ")  # magic, boot id, count of writes: its last bit names the valid slot
_COUNT_AT = 48
_SLOT = struct.Struct("<qqdq")  # anchor us, anchor ns, rate, hold us
_FILE_BYTES = _HEAD.size + 2 * _SLOT.size
_NO_HOLD = 2**62

assert _HEAD.size == _COUNT_AT + 8


class Clock(Protocol):
    """Where the time comes from."""

    @property
    def rate(self) -> float:
        """Simulated seconds per real second; 1 for the machine's time."""
        ...

    def utc_us(self) -> UtcUs:
        """The present instant, microseconds UTC."""
        ...

    def monotonic_s(self) -> MonotonicS:
        """Real seconds since an arbitrary start; for durations and deadlines of I/O."""
        ...

    async def sleep_until(self, at_us: UtcUs) -> None:
        """Return at `at_us` or as soon after as the machine can."""
        ...

    async def sleep_for(self, duration_s: float) -> None:
        """Sleep `duration_s` of this clock's seconds."""
        ...

    async def rest_until(self, at_s: MonotonicS) -> None:
        """Return at `at_s` of `monotonic_s`: a rest that a device needs is real, whatever the clock."""
        ...

    def hold_before(self, at_us: UtcUs) -> None:
        """Keep simulated time below `at_us` until the next hold; nothing on the machine's time."""
        ...


class SystemClock:
    """The machine's own time."""

    rate = 1.0

    def utc_us(self) -> UtcUs:
        """The present instant, microseconds UTC."""
        return UtcUs(time.time_ns() // 1000)

    def monotonic_s(self) -> MonotonicS:
        """Real seconds since an arbitrary start."""
        return MonotonicS(time.monotonic())

    async def sleep_until(self, at_us: UtcUs) -> None:
        """Return at `at_us`; a clock stepped during the sleep is noticed within a second."""
        while (left_us := at_us - self.utc_us()) > 0:
            await asyncio.sleep(min(left_us / US_PER_S, 1.0))

    async def sleep_for(self, duration_s: float) -> None:
        """Sleep `duration_s` real seconds."""
        await asyncio.sleep(duration_s)

    async def rest_until(self, at_s: MonotonicS) -> None:
        """Return at the real instant `at_s`."""
        await asyncio.sleep(max(at_s - time.monotonic(), 0.0))

    def hold_before(self, at_us: UtcUs) -> None:
        """The machine's time cannot be held."""


class ScaledClock:
    """Simulated time that runs `rate` times as fast as the machine's.

    The gateway, which alone writes the origin, holds the time below its next tick until the work
    of the present one is done, so that no simulated instant is skipped on a slow machine. Time
    never runs backwards. A reader in another process sees the same instant.
    """

    def __init__(self, path: Path) -> None:
        """Attach to the origin at `path`.

        Raises:
            SettingError: there is no usable origin; the hint says how to make one.
        """
        self._path = path
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise SettingError(
                "clock.origin", str(path), f"cannot be opened ({error.strerror})", "start the simulator first"
            ) from error
        try:
            if os.fstat(descriptor).st_size != _FILE_BYTES:
                raise _not_an_origin(path)
            self._map = mmap.mmap(descriptor, _FILE_BYTES)
        finally:
            os.close(descriptor)
        magic, boot, _ = _HEAD.unpack_from(self._map)
        if magic != _MAGIC:
            raise _not_an_origin(path)
        if boot != _boot_id():
            raise SettingError("clock.origin", str(path), "is from before the last boot", "remove it and start anew")
        if not 0 < self.rate <= RATE_MAX:
            raise _not_an_origin(path)

    @classmethod
    def create(cls, path: Path, *, start_us: UtcUs, rate: float) -> "ScaledClock":
        """Write a new origin at `path`: now is `start_us`, running `rate` times as fast.

        Raises:
            SettingError: the rate is not a number above 0, or beyond any use.
        """
        if not 0 < rate <= RATE_MAX:
            problem = f"is not above 0 and up to {RATE_MAX:g}"
            raise SettingError("rate", str(rate), problem, "give simulated seconds per real second")
        slot = _SLOT.pack(start_us, time.monotonic_ns(), rate, _NO_HOLD)
        draft = path.with_suffix(".new")
        draft.write_bytes(_HEAD.pack(_MAGIC, _boot_id(), 0) + slot + slot)
        draft.replace(path)
        return cls(path)

    @property
    def rate(self) -> float:
        """Simulated seconds per real second."""
        return self._read()[2]

    def utc_us(self) -> UtcUs:
        """The present simulated instant."""
        return UtcUs(_instant_us(time.monotonic_ns(), *self._read()))

    def monotonic_s(self) -> MonotonicS:
        """Real seconds: deadlines of I/O do not scale."""
        return MonotonicS(time.monotonic())

    async def sleep_until(self, at_us: UtcUs) -> None:
        """Return at the simulated instant `at_us`."""
        while (left_us := at_us - self.utc_us()) > 0:
            # A held clock stands still: look again soon, never busily.
            await asyncio.sleep(min(max(left_us / US_PER_S / self.rate, 0.0002), 0.05))

    async def sleep_for(self, duration_s: float) -> None:
        """Sleep `duration_s` simulated seconds."""
        await self.sleep_until(UtcUs(self.utc_us() + round(duration_s * US_PER_S)))

    async def rest_until(self, at_s: MonotonicS) -> None:
        """Return at the real instant `at_s`."""
        await asyncio.sleep(max(at_s - time.monotonic(), 0.0))

    def hold_before(self, at_us: UtcUs) -> None:
        """Keep simulated time below `at_us` until the next call; it stands still for `HOLD_S_MAX` at most."""
        now_ns = time.monotonic_ns()
        state = self._read()
        now_us = _instant_us(now_ns, *state)
        self._write(now_us, now_ns, state[2], max(at_us - 1, now_us))

    def _read(self) -> tuple[int, int, float, int]:
        """The valid slot. A writer killed at any point leaves one: it fills the other, then counts."""
        while True:
            count = self._count()
            slot: tuple[int, int, float, int] = _SLOT.unpack_from(self._map, _slot_at(count))
            if count == self._count():
                return slot

    def _write(self, *slot: float) -> None:
        count = self._count() + 1
        _SLOT.pack_into(self._map, _slot_at(count), *slot)
        struct.pack_into("<Q", self._map, _COUNT_AT, count)

    def _count(self) -> int:
        count: int = struct.unpack_from("<Q", self._map, _COUNT_AT)[0]
        return count


def _slot_at(count: int) -> int:
    return _HEAD.size + (count % 2) * _SLOT.size


def _not_an_origin(path: Path) -> SettingError:
    return SettingError("clock.origin", str(path), "is not a clock origin", "remove it and start anew")


def open_clock(origin: Path | None) -> Clock:
    """The clock a program runs on: scaled when an origin is given."""
    return SystemClock() if origin is None else ScaledClock(origin)


def _instant_us(now_ns: int, anchor_us: int, anchor_ns: int, rate: float, hold_us: int) -> int:
    """Runs from the anchor, stands still at the hold, then runs on from there: no instant is skipped."""
    running_us = anchor_us + round((now_ns - anchor_ns) * rate / 1000)
    if running_us <= hold_us:
        return running_us
    return max(hold_us, running_us - round(HOLD_S_MAX * US_PER_S * rate))


def _boot_id() -> bytes:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:36]
    return b"-" * 36
