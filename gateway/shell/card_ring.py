"""Records in memory: on their way to the card, and all that comes while it takes nothing. No I/O.

What was appended together is a parcel: written together, dropped together. Beyond the bound the oldest go, counted.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from firmware_bridge.reading import UtcUs
from gateway.contract.records import decode_record, encode_record, restamp

# Over five hours of 200 series at a block a minute, and small beside what the gateway has in memory anyway.
RING_BYTES_MAX = 8 * 1024 * 1024
# What a record takes in memory beyond its body: a tuple, its numbers and its place.
_RECORD_BYTES = 200
# One transaction: small enough for a card that has a little room again.
WRITE_BYTES_MAX = 1024 * 1024


class PendingRecord(NamedTuple):
    """A record that has no sequence yet."""

    recorded_us: UtcUs
    kind: str
    body: bytes
    boot: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that the ring had no room for: how many, and when the first and the last of them were recorded."""

    records: int
    from_us: UtcUs
    to_us: UtcUs


class _Parcel(NamedTuple):
    number: int
    records: list[PendingRecord]
    size: int


class CardRing:
    """A queue of parcels, oldest first."""

    def __init__(self, bytes_max: int = RING_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._parcels: deque[_Parcel] = deque()
        self._added = 0
        self._size = 0
        self.records = 0
        self.lost_records = 0
        # what was lost and nobody has been told yet
        self.untold: Loss | None = None

    def add(self, records: Sequence[PendingRecord]) -> int:
        """Take a parcel, and give its number. Beyond the bound it still stays until `trim`: the card may take it."""
        if records:
            self._added += 1
            self._put(_Parcel(self._added, list(records), _size(records)))
        return self._added

    def head(self, through: int, bytes_max: int = WRITE_BYTES_MAX) -> tuple[list[PendingRecord], int]:
        """The oldest parcels up to number `through`, at least one when there is any, and the number of the last."""
        taken: list[PendingRecord] = []
        number, size = 0, 0
        for parcel in self._parcels:
            size += parcel.size
            if parcel.number > through or (taken and size > bytes_max):
                break
            taken += parcel.records
            number = parcel.number
        return taken, number

    def drop_through(self, number: int) -> None:
        """Forget the parcels up to `number`: they are on the card."""
        while self._parcels and self._parcels[0].number <= number:
            self._pop()

    def told(self, loss: Loss) -> None:
        """`loss` is recorded on the card; what was lost since then is not."""
        if self.untold is not None:
            left = self.untold.records - loss.records
            self.untold = Loss(left, loss.to_us, self.untold.to_us) if left else None

    def trim(self) -> None:
        """Drop the oldest parcels until the rest is within the bound."""
        while self._size > self._bytes_max:
            parcel = self._pop()
            count = len(parcel.records)
            self.lost_records += count
            before = self.untold
            from_us = parcel.records[0].recorded_us if before is None else before.from_us
            lost = count if before is None else before.records + count
            self.untold = Loss(lost, from_us, parcel.records[-1].recorded_us)

    def restamp(self, boot: int, offset_us: int) -> None:
        """Shift the instants of what start `boot` recorded; they and those of earlier starts are for good."""
        parcels, self._parcels = self._parcels, deque()
        self._size = self.records = 0
        for parcel in parcels:
            records = [_restamped(one, boot, offset_us) for one in parcel.records]
            self._put(_Parcel(parcel.number, records, _size(records)))

    def newest_first(self) -> Iterator[PendingRecord]:
        """All records, the newest first."""
        for parcel in reversed(self._parcels):
            yield from reversed(parcel.records)

    def _put(self, parcel: _Parcel) -> None:
        self._parcels.append(parcel)
        self._size += parcel.size
        self.records += len(parcel.records)

    def _pop(self) -> _Parcel:
        parcel = self._parcels.popleft()
        self._size -= parcel.size
        self.records -= len(parcel.records)
        return parcel


def _size(records: Sequence[PendingRecord]) -> int:
    return sum(_RECORD_BYTES + len(record.body) for record in records)


def _restamped(record: PendingRecord, boot: int, offset_us: int) -> PendingRecord:
    if record.boot is None:
        return record
    if record.boot != boot or not offset_us:
        return record._replace(boot=None)
    body = encode_record(restamp(decode_record(record.body), offset_us))
    return PendingRecord(UtcUs(record.recorded_us + offset_us), record.kind, body, None)
