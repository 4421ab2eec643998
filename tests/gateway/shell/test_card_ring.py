from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from gateway.contract.records import decode_record, encode_record
from gateway.shell.card_ring import CardRing, Loss, PendingRecord
from tests.sim.stores import NOW_US, block

# What the ring counts for a record without a body.
EMPTY_BYTES = 200


def pending(number: int, size: int = 0, boot: int | None = None) -> PendingRecord:
    return PendingRecord(UtcUs(number), "readings", bytes(size), boot)


def numbers(ring: CardRing, through: int = 1 << 40) -> list[int]:
    records, _ = ring.head(through, bytes_max=1 << 40)
    return [record.recorded_us for record in records]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 300)), max_size=30), st.integers(0, 5_000))
def test_the_newest_parcels_stay_whole_and_what_went_is_counted(parcels, bytes_max):
    ring, added = CardRing(bytes_max), []
    for count, size in parcels:
        parcel = [pending(len(added) + index, size) for index in range(count)]
        added += parcel
        ring.add(parcel)
        ring.trim()
    left = numbers(ring)
    assert ring.records == len(left)
    assert left == [record.recorded_us for record in added[len(added) - len(left) :]]
    assert sum(EMPTY_BYTES + len(added[number].body) for number in left) <= bytes_max
    assert ring.lost_records == len(added) - len(left)
    if ring.lost_records:
        assert ring.untold == Loss(ring.lost_records, UtcUs(0), UtcUs(ring.lost_records - 1))
    else:
        assert ring.untold is None


def test_a_parcel_is_given_whole_and_forgotten_when_it_is_written():
    ring = CardRing()
    first, second = ring.add([pending(1), pending(2)]), ring.add([pending(3)])
    assert ring.add([]) == second
    assert ring.head(second, bytes_max=1) == ([pending(1), pending(2)], first)
    assert ring.head(first) == ([pending(1), pending(2)], first)
    ring.drop_through(first)
    assert (numbers(ring), ring.records) == ([3], 1)
    ring.drop_through(second)
    assert ring.head(second) == ([], 0)


def test_what_is_lost_after_a_loss_was_told_is_told_next():
    ring = CardRing(2 * EMPTY_BYTES)
    for number in range(5):
        ring.add([pending(number)])
        ring.trim()
    told = ring.untold
    assert told == Loss(3, UtcUs(0), UtcUs(2))
    ring.add([pending(5)])
    ring.trim()
    ring.told(told)
    assert ring.untold == Loss(1, UtcUs(2), UtcUs(3))
    ring.told(ring.untold)
    assert ring.untold is None
    assert ring.lost_records == 4


def test_only_what_this_start_guessed_is_shifted_and_no_guess_is_left():
    ring, body = CardRing(), encode_record(block(NOW_US))
    for boot in (None, 7, 6):
        ring.add([PendingRecord(NOW_US, "readings", body, boot)])
    ring.restamp(7, 1_000)
    records, _ = ring.head(3)
    assert [record.boot for record in records] == [None, None, None]
    assert [record.recorded_us - NOW_US for record in records] == [0, 1_000, 0]
    assert [decode_record(record.body).start_us - NOW_US for record in records] == [0, 1_000, 0]
    assert [record.recorded_us - NOW_US for record in ring.newest_first()] == [0, 1_000, 0]
