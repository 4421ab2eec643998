import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.reading import MonotonicS, UtcUs
from gateway.contract.batches import BATCH_RECORDS_MAX, Batch, StoredRecord
from gateway.core.backoff import CAP_S, FIRST_S, FLOOR_S
from gateway.core.outbox import (
    BODY_BYTES_MAX,
    BODY_BYTES_MIN,
    GROW_FRACTION,
    TABLE,
    TOLD_WAIT_JITTER,
    TRIES_MAX,
    Action,
    Outbox,
    State,
    Step,
    draw,
)
from gateway.core.upload_reply import RETRY_AFTER_S_MAX, Event, Heard

GENERATION = "a" * 32
TIMEOUT_S = 30.0
NOW_S = MonotonicS(0.0)
QUICK_S = 0.1


class Store:
    """What waits, as sequences; carries out what the outbox says."""

    def __init__(self, records: int, *, poisoned: set[int] = frozenset()) -> None:
        self.waiting = list(range(1, records + 1))
        self.poisoned = poisoned
        self.taken: list[int] = []
        self.quarantined: list[int] = []
        self.outbox = Outbox(timeout_s=TIMEOUT_S, patience_s=CAP_S, uniform=lambda: 0.5)
        self.sizes: list[int] = []

    def batch(self, record_bytes: int = 100) -> Batch:
        by_bytes = max(1, self.outbox.bytes_max // record_bytes)
        sequences = self.waiting[: min(self.outbox.records_max, by_bytes)]
        records = [StoredRecord(sequence, UtcUs(0), b"") for sequence in sequences]
        return self.outbox.batch("gw-1", GENERATION, self.waiting[0] - 1, records)

    def send(self) -> Step:
        """To a cloud that refuses what is poisoned and takes everything else."""
        batch = self.batch()
        self.sizes.append(len(batch.records))
        refused = any(record.sequence in self.poisoned for record in batch.records)
        step = self.hear(Heard(Event.REFUSED if refused else Event.TAKEN), batch)
        if step.action is Action.ADVANCE:
            self.taken += [record.sequence for record in batch.records]
            del self.waiting[: len(batch.records)]
        elif step.action is Action.QUARANTINE:
            self.quarantined.append(self.waiting.pop(0))
        return step

    def hear(self, heard: Heard, batch: Batch | None = None, *, took_s: float = QUICK_S, body: int = 0) -> Step:
        batch = batch or self.batch()
        return self.outbox.hear(batch, heard, body_bytes=body or 100 * len(batch.records), took_s=took_s, now_s=NOW_S)


def test_only_what_was_taken_moves_the_cursor_forward_and_only_a_revocation_stops():
    for (_, event), (following, action) in TABLE.items():
        assert (action is Action.ADVANCE) == (event in (Event.TAKEN, Event.LAST_SUSPECT_TAKEN))
        assert (following is State.REVOKED) == (event is Event.REVOKED)


def test_from_every_state_there_is_a_way_back_to_sending():
    for state in State:
        assert State.SENDING in {following for (before, _), (following, _) in TABLE.items() if before is state}


def test_while_anything_is_sent_there_is_an_answer_to_whatever_comes_back():
    heard = set(Event) - {Event.LAST_SUSPECT_TAKEN, Event.REFUSED_FOR_GOOD}
    assert {(state, event) for state in (State.SENDING, State.SEARCHING) for event in heard} <= set(TABLE)


def test_a_backlog_goes_batch_after_batch_without_a_wait():
    store = Store(5_000)
    while store.waiting:
        assert store.send().wait_s is None
    assert store.taken == list(range(1, 5_001))
    assert store.sizes == [BATCH_RECORDS_MAX, BATCH_RECORDS_MAX, 1_000]


@given(st.integers(1, 3_000), st.sets(st.integers(1, 3_000), max_size=6))
def test_poisoned_records_are_found_put_aside_and_never_block_the_rest(records: int, poisoned: set[int]):
    store = Store(records, poisoned=poisoned)
    while store.waiting:
        store.send()
    there = {sequence for sequence in poisoned if sequence <= records}
    assert set(store.quarantined) == there
    assert store.taken == [sequence for sequence in range(1, records + 1) if sequence not in there]
    # for each: a way down, the tries alone, and a way up again
    assert len(store.sizes) <= 3 + (len(there) + 1) * (12 + TRIES_MAX + 12)


def test_one_poisoned_record_of_a_full_batch_costs_a_handful_of_requests():
    store = Store(BATCH_RECORDS_MAX, poisoned={1_234})
    while not store.quarantined:
        store.send()
    assert len(store.sizes) <= 1 + 11 + TRIES_MAX
    assert store.sizes[-TRIES_MAX:] == [1] * TRIES_MAX
    while store.waiting:
        store.send()
    assert max(store.sizes[-3:]) > 200, "batches grow again"


def test_a_record_is_tried_three_times_alone_with_longer_and_longer_waits():
    store = Store(1, poisoned={1})
    steps = [store.send() for _ in range(TRIES_MAX)]
    assert [step.action for step in steps] == [Action.TRY_AGAIN, Action.TRY_AGAIN, Action.QUARANTINE]
    waits = [step.wait_s for step in steps]
    assert waits[0] is not None
    assert waits[1] is not None
    assert FLOOR_S <= waits[0] < waits[1] <= 2 * FIRST_S


def test_a_record_that_is_taken_at_the_last_try_is_not_put_aside():
    store = Store(3, poisoned={1})
    while store.sizes[-2:] != [1, 1]:
        store.send()
    store.poisoned = set()
    while store.waiting:
        store.send()
    assert store.taken == [1, 2, 3]
    assert (store.quarantined, store.outbox.state) == ([], State.SENDING)


def test_a_cloud_that_refuses_every_record_is_asked_ever_more_rarely():
    store = Store(10, poisoned=set(range(1, 11)))
    waits = []
    while store.waiting:
        waits.append(store.send().wait_s or 0.0)
    assert store.quarantined == list(range(1, 11))
    assert max(waits) > CAP_S / 2 - 1, "so that a mistake of an hour costs few records"


def test_a_batch_that_does_not_get_through_is_halved_down_to_a_floor_and_grows_with_success():
    store = Store(20_000)
    sizes = []
    for _ in range(12):
        batch = store.batch()
        sizes.append(len(batch.records))
        assert store.hear(Heard(Event.NO_ANSWER), batch).action is Action.SHRINK
    assert sizes[:3] == [2_000, 1_000, 500]
    assert store.outbox.bytes_max == BODY_BYTES_MIN
    for _ in range(12):
        store.hear(Heard(Event.TAKEN))
    assert store.outbox.bytes_max == BODY_BYTES_MAX


def test_a_cloud_whose_database_is_too_slow_for_a_batch_gets_smaller_ones():
    store = Store(10)
    late_s = GROW_FRACTION * TIMEOUT_S + 0.5
    for sent in range(1, 4):
        store.hear(Heard(Event.BUSY, wait_s=15.0), took_s=late_s, body=BODY_BYTES_MAX >> (sent - 1))
        assert store.outbox.bytes_max == BODY_BYTES_MAX >> sent
    store.hear(Heard(Event.BUSY, wait_s=15.0), took_s=QUICK_S)
    assert store.outbox.bytes_max == BODY_BYTES_MAX >> 3, "whoever says at once that it is busy has not looked at it"


def test_a_slow_link_settles_below_its_deadline():
    store, bytes_per_s = Store(100_000), 2_000
    failures = 0
    for _ in range(60):
        batch = store.batch()
        body = 100 * len(batch.records)
        took_s = body / bytes_per_s
        gets_through = took_s < TIMEOUT_S
        failures += not gets_through
        event = Event.TAKEN if gets_through else Event.NO_ANSWER
        store.hear(Heard(event), batch, took_s=min(took_s, TIMEOUT_S), body=body)
    assert failures <= 5, "found once, never tried again"
    assert store.outbox.bytes_max / bytes_per_s > TIMEOUT_S * GROW_FRACTION, "and no smaller than needed"


def test_whoever_is_away_is_asked_again_soon_and_later_every_five_minutes():
    store = Store(10)
    waits = [store.hear(Heard(Event.NO_ANSWER)).wait_s or 0 for _ in range(20)]
    assert waits[0] < FIRST_S
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx((CAP_S + FLOOR_S) / 2)
    store.hear(Heard(Event.TAKEN))
    assert (store.hear(Heard(Event.NO_ANSWER)).wait_s or 0) < FIRST_S


def test_what_fails_is_not_tried_more_rarely_than_what_works():
    outbox = Outbox(timeout_s=TIMEOUT_S, patience_s=1.0, uniform=lambda: 0.99)
    batch = Store(1).batch()
    for _ in range(20):
        step = outbox.hear(batch, Heard(Event.TROUBLE), body_bytes=100, took_s=QUICK_S, now_s=NOW_S)
    assert step.wait_s == 1.0


@given(st.floats(1.0, RETRY_AFTER_S_MAX), st.integers(0, 20))
def test_a_wait_that_the_cloud_asks_for_is_kept_to_a_tenth(asked_s: float, failures: int):
    store = Store(10)
    for _ in range(failures):
        store.hear(Heard(Event.TROUBLE))
    step = store.hear(Heard(Event.BUSY, wait_s=asked_s))
    assert step.action is Action.WAIT
    assert step.wait_s is not None
    assert asked_s <= step.wait_s <= asked_s * (1 + TOLD_WAIT_JITTER)
    assert not store.outbox.may_send(NOW_S)
    assert store.outbox.may_send(MonotonicS(NOW_S + step.wait_s))


def test_a_revoked_gateway_sends_nothing_until_it_is_somebody_else():
    store = Store(10)
    step = store.hear(Heard(Event.REVOKED, words="revoked"))
    assert (step.action, step.words, step.wait_s) == (Action.STOP, "revoked", None)
    assert not store.outbox.may_send(MonotonicS(1e12))
    store.outbox.renew()
    assert store.outbox.may_send(NOW_S)
    store.send()
    assert store.taken == list(range(1, 11))


def test_a_restored_cloud_is_told_what_it_has_by_its_own_word_until_it_takes_a_batch():
    store = Store(10)
    store.waiting = store.waiting[6:]  # the rest was sent long ago, and some of it pruned
    step = store.hear(Heard(Event.BEHIND, 2))
    assert (step.action, step.sequence) == (Action.REWIND, 2)
    assert store.batch().acknowledged == 2
    assert store.outbox.batch("gw-1", "b" * 32, 6, []).acknowledged == 6, "another generation is another matter"
    store.send()
    store.waiting = [11]
    assert store.batch().acknowledged == 10


def test_a_conflict_begins_a_generation_where_the_cloud_says():
    step = Store(10).hear(Heard(Event.CONFLICT, 4))
    assert (step.action, step.sequence) == (Action.BEGIN_GENERATION, 4)
    assert step.wait_s is not None, "a cloud that finds one in every batch does not make one a second"


@given(st.lists(st.tuples(st.sampled_from(Event), st.integers(1, 50), st.floats(0, 100)), max_size=60))
def test_whatever_happens_it_sends_again_some_day(events: list[tuple[Event, int, float]]):
    store = Store(100)
    counted = {Event.LAST_SUSPECT_TAKEN, Event.REFUSED_ALONE, Event.REFUSED_FOR_GOOD}  # it finds them out itself
    for event, wait_s, took_s in events:
        if event is Event.NEW_IDENTITY:
            store.outbox.renew()
        elif event not in counted and store.outbox.state is not State.REVOKED:
            before = store.outbox.state
            step = store.hear(Heard(event, 1, wait_s=float(wait_s)), took_s=took_s)
            assert TABLE[before, event][1] is step.action or event in (Event.TAKEN, Event.REFUSED)
            assert step.wait_s is None or 0 < step.wait_s <= RETRY_AFTER_S_MAX * (1 + TOLD_WAIT_JITTER)
        assert 1 <= store.outbox.records_max <= BATCH_RECORDS_MAX
        assert BODY_BYTES_MIN <= store.outbox.bytes_max <= BODY_BYTES_MAX
        assert store.batch().records
    if store.outbox.state is State.REVOKED:
        store.outbox.renew()
    while store.waiting:
        store.send()
    assert store.taken == list(range(1, 101))


@pytest.mark.parametrize("state", State)
def test_the_drawing_shows_every_state(state: State):
    assert state.name in draw()
