"""A stop that was asked for, and waits on the outside that end with it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class StopSwitch:
    """Pressed once; whoever waits then gets a last moment and no more."""

    def __init__(self) -> None:
        self.is_pressed = False
        self._end_wait: Callable[[], None] = _nothing_waits

    def press(self) -> None:
        """Ask for the stop: no wait is longer than its grace from now on."""
        self.is_pressed = True
        self._end_wait()

    async def wait(self, wait: Awaitable[T], *, grace_s: float) -> T | None:
        """What `wait` gives; None when the stop was asked for and it was not over `grace_s` real seconds later.

        One waits at a time.
        """
        running = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as scope:
                self._end_wait = lambda: scope.reschedule(running.time() + grace_s)
                if self.is_pressed:
                    self._end_wait()
                return await wait
        except TimeoutError:
            return None
        finally:
            self._end_wait = _nothing_waits


def _nothing_waits() -> None:
    pass
