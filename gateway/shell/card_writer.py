"""What is on its way to the card, in order: the cloud's verdicts, stamps to be put right, and records.

All of it is kept in memory until the file says that it has it.
"""

from typing import NamedTuple

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway import SOFTWARE
from gateway.contract.records import StatusRecord
from gateway.shell.card_ring import CardRing, Loss, PendingRecord
from gateway.shell.stamping import begin_stamping, stamp_some
from gateway.shell.store_file import StoreFile, pending
from gateway.shell.verdicts import Verdicts

# So many steps of stamping anew are made at once, a second's work at most; the rest comes in the background.
STAMP_STEPS = 8


class _InFlight(NamedTuple):
    """A write that nobody knows the end of before the file is asked."""

    file: StoreFile
    number: int
    # the file has come so far when it took place
    last: int
    loss: Loss | None


class CardWriter:
    """Writes what waits in memory, each thing once."""

    def __init__(self) -> None:
        self.ring = CardRing()
        self.verdicts = Verdicts()
        self._stamps: list[tuple[int, int, UtcUs]] = []
        self._in_flight: _InFlight | None = None

    def order_stamps(self, boot: int, offset_us: int, now_us: UtcUs) -> None:
        """Stamp anew what is in memory, now, and what is on the card, before anything is written there."""
        self.ring.restamp(boot, offset_us)
        self._stamps.append((boot, offset_us, now_us))

    async def flush(self, file: StoreFile, through: int, now_us: UtcUs) -> None:
        """Write what stands in line up to parcel `through`: what came later may be stamped by another time.

        Raises:
            StorageError: the file takes nothing; what it did not take stays in memory.
        """
        await file.settle()
        self._forget_written()
        await self.verdicts.write(file)
        await self.stamp(file)
        while True:
            records, number = self.ring.head(through)
            if (loss := self.ring.untold) is not None:
                records = [_told(loss, now_us), *records]
            if not records:
                return
            self._in_flight = _InFlight(file, number, file.position.last + len(records), loss)
            try:
                await file.append(records)
            finally:
                self._forget_written()

    async def stamp(self, file: StoreFile) -> bool:
        """Stamp anew what was ordered to be, some steps of it; whether there is more to do.

        Raises:
            StorageError: the file takes nothing.
        """
        while self._stamps:
            await begin_stamping(file, *self._stamps[0])
            del self._stamps[0]
        for _ in range(STAMP_STEPS):
            if not file.position.is_stamping:
                break
            await stamp_some(file)
        return file.position.is_stamping

    def _forget_written(self) -> None:
        """Drop from memory what is on the card, as far as the file says so."""
        flight = self._in_flight
        if flight is None or not flight.file.is_settled:
            return
        self._in_flight = None
        if flight.file.position.last >= flight.last:
            self.ring.drop_through(flight.number)
            if flight.loss is not None:
                self.ring.told(flight.loss)


def _told(loss: Loss, now_us: UtcUs) -> PendingRecord:
    seconds = (loss.to_us - loss.from_us) / US_PER_S
    detail = f"the card was away: {loss.records} records of {seconds:.0f} s had no room in memory"
    return pending(StatusRecord(now_us, "records_lost", SOFTWARE, detail), now_us, None)
