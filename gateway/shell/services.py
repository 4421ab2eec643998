"""Optional services: they may fail and come back; reading the meters never waits for them.

This is the one boundary where any exception is caught. What is essential (bus, tick, store) does
not run here: its failure ends the process, and systemd starts it anew.
"""

import logging
import random
from collections.abc import Awaitable, Callable

from firmware_bridge.clock import Clock
from firmware_bridge.errors import SettingError
from gateway.core.backoff import delay_s

log = logging.getLogger(__name__)

# A service that ran this long was well: its next failure is a new one.
SETTLED_S = 60.0
# A device's or a server's words may be part of an error; a log line stays a line.
_TROUBLE_CHARACTERS_MAX = 400


async def keep_running(
    name: str,
    work: Callable[[], Awaitable[None]],
    clock: Clock,
    *,
    on_trouble: Callable[[str], None] = lambda _: None,
    uniform: Callable[[], float] = random.random,
) -> None:
    """Run `work` until it returns; after a failure wait, longer each time, and run it again.

    The log tells a trouble once and counts its repetitions; `on_trouble` hears every one, in one
    sentence. Cancellation passes through.

    Raises:
        SettingError: raised by the very first run. At start-up somebody is there to read it; later
            it is a trouble like others.
    """
    failures, told, repeated = 0, "", 0
    is_first = True
    while True:
        started_s = clock.monotonic_s()
        try:
            await work()
        except Exception as error:
            if is_first and isinstance(error, SettingError):
                raise
            trouble = describe(error)
        else:
            return
        is_first = False
        if clock.monotonic_s() - started_s >= SETTLED_S:
            failures, told = 0, ""
        failures += 1
        on_trouble(trouble)
        if trouble == told:
            repeated += 1
        else:
            log.warning("service failed: service=%s repeated_before=%d trouble=%s", name, repeated, trouble)
            told, repeated = trouble, 0
        # The wait spares the real machine and the real network: it does not shrink in simulated time.
        await clock.sleep_for(delay_s(failures, uniform) * clock.rate)


def describe(error: BaseException) -> str:
    """The error as one line of bounded length; of a group, its first leaf."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line[:_TROUBLE_CHARACTERS_MAX]
