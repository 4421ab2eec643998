"""A timer for silences on a wire. A shell.

asyncio rounds its waits up to whole milliseconds, which at 115200 baud is a third of a short exchange:
a wait of 1.2 ms took 2.1 ms, with a timer of the kernel 1.25 ms.
"""

import asyncio
import ctypes
import os

_CLOCK_MONOTONIC = 1
_NS_PER_S = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class FineTimer:
    """Waits to some 0.05 ms; one wait at a time, `close` it in the end."""

    def __init__(self) -> None:
        """Needs a running loop.

        Raises:
            OSError: the system gives no timer.
        """
        # os.timerfd_create came with Python 3.13
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "no timer of the kernel")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._on_time)
        self._waiting: asyncio.Future[None] | None = None

    async def wait(self, duration_s: float) -> None:
        """Return `duration_s` real seconds from now, and after all that has come meanwhile was heard."""
        assert self._waiting is None, "one wait at a time"
        self._waiting = self._loop.create_future()
        # zero would disarm the timer
        seconds, ns = divmod(max(1, round(duration_s * _NS_PER_S)), _NS_PER_S)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, ns))
        self._libc.timerfd_settime(self._descriptor, 0, ctypes.byref(spec), None)
        try:
            await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """Give the timer back."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _on_time(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return  # of a wait that was cancelled, and the timer runs for the next one
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
