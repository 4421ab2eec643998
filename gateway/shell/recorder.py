"""The one way into the store for what the gateway itself has to say, stamped as well as the clock can be trusted."""

import logging
from collections.abc import Sequence

from firmware_bridge.reading import US_PER_S
from gateway import SOFTWARE
from gateway.contract.records import Record, StatusRecord
from gateway.core.timekeeping import ClockSet
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper

log = logging.getLogger(__name__)


class Recorder:
    """Writes records; stamps them anew when the clock turns out to have been wrong.

    Nothing waits between taking an instant and standing in the store's queue. So what is stamped by one time
    comes before the order to stamp it anew, and what is stamped by the next time after it.
    """

    def __init__(self, store: Store, clock: Timekeeper) -> None:
        self._store, self._clock = store, clock

    async def begin(self) -> None:
        """Compare the clock with what is on disk; what earlier starts could only guess stays so from now on."""
        if (newest_us := self._store.newest_us) is not None:
            self._clock.not_before(newest_us)
        if self._clock.is_trusted:
            await self._store.restamp(self._store.boot, 0, self._clock.utc_us())

    async def write(self, records: Sequence[Record]) -> None:
        """Keep `records`, which were stamped just now or since the last `follow_clock`."""
        boot = None if self._clock.is_trusted else self._store.boot
        await self._store.append(records, self._clock.utc_us(), boot=boot)

    async def follow_clock(self) -> ClockSet | None:
        """Take over what the machine's clock says, between two ticks; tell of a change, and put right what can be."""
        change = self._clock.follow()
        if change is None:
            return None
        by_s = change.by_us / US_PER_S
        if change.was_trusted:
            detail = f"the clock was set {'forward' if by_s > 0 else 'back'} by {abs(by_s):.0f} s"
            log.warning("clock stepped: by_s=%.3f", by_s)
            await self.write([StatusRecord(self._clock.utc_us(), "clock_stepped", SOFTWARE, detail)])
        else:
            log.info("clock set: by_s=%.3f trusted=%s", by_s, self._clock.is_trusted)
            await self._store.restamp(self._store.boot, change.by_us, self._clock.utc_us())
        return change
