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

from firmware_bridge import kernel_clock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, MonotonicS, SteadyUs, UtcUs

# A dead or stopped gateway must not stop the simulated world: a time that is held stands still for
# at most this much real time. Three seconds are far above the slowest tick of a busy machine, where half
# a second was not: time then leapt in the middle of a sweep.
HOLD_S_MAX = 3.0
# Thirty years in a second: beyond is a damaged file, or a slip.
RATE_MAX = 1e9
# A signed time is as old as its reply was long on the way: as long as an upload may take. Within this, what a
# time server said is finer.
SIGNED_LATE_US_MAX = 30 * US_PER_S
# A process that was put to sleep between its looks at two clocks looks again.
_READ_NS_MAX = 1_000_000

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

    @property
    def is_trusted(self) -> bool:
        """Whether `utc_us` is the world's time, and not a guess."""
        ...

    def trust(self, utc_us: UtcUs) -> None:
        """Take the cloud's word, signed and fresh, that it is `utc_us` now."""
        ...

    def steady_us(self) -> SteadyUs:
        """Microseconds of this clock's time since an arbitrary start; nobody sets it."""
        ...

    def ahead_us(self) -> int:
        """How far `utc_us` is ahead of `steady_us`; it changes when the clock is set."""
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
    """The machine's own time; the cloud's where the machine does not know any, or is far off."""

    rate = 1.0

    def __init__(self) -> None:
        self._is_signed = False
        self._signed_ahead_us: int | None = None  # of the signed time, where the machine's own is not good enough

    def utc_us(self) -> UtcUs:
        """The present instant, microseconds UTC."""
        return UtcUs(self.steady_us() + self.ahead_us())

    @property
    def is_trusted(self) -> bool:
        """Whether a time server or the cloud stands behind it."""
        return self._is_signed or kernel_clock.is_synchronised()

    def trust(self, utc_us: UtcUs) -> None:
        """Take the cloud's word; a time server is overruled only where it is off by more than a reply can be late."""
        ahead_us = utc_us - self.steady_us()
        if kernel_clock.is_synchronised() and abs(ahead_us - _machine_ahead_us()) <= SIGNED_LATE_US_MAX:
            self._signed_ahead_us = None
        elif self._signed_ahead_us is None or abs(ahead_us - self._signed_ahead_us) > SIGNED_LATE_US_MAX:
            self._signed_ahead_us = ahead_us
        self._is_signed = True

    def steady_us(self) -> SteadyUs:
        """Microseconds since an arbitrary start."""
        return SteadyUs(time.monotonic_ns() // 1000)

    def ahead_us(self) -> int:
        """How far `utc_us` is ahead of `steady_us`."""
        return _machine_ahead_us() if self._signed_ahead_us is None else self._signed_ahead_us

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

    @property
    def is_trusted(self) -> bool:
        """All who live in simulated time agree on it."""
        return True

    def trust(self, utc_us: UtcUs) -> None:
        """Simulated time is set by nobody."""

    def steady_us(self) -> SteadyUs:
        """Simulated time runs steadily: its instants are as good as any count."""
        return SteadyUs(self.utc_us())

    def ahead_us(self) -> int:
        """Nothing: see `steady_us`."""
        return 0

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


def _machine_ahead_us() -> int:
    """How far the machine's wall clock is ahead of its monotonic one, both read at the same instant."""
    steady_ns, wall_ns = time.monotonic_ns(), time.time_ns()
    if time.monotonic_ns() - steady_ns > _READ_NS_MAX:
        steady_ns, wall_ns = time.monotonic_ns(), time.time_ns()
    return (wall_ns - steady_ns) // 1000


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
