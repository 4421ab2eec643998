"""Records on their way into a real store, stamped by a clock that can be wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway import SOFTWARE
from gateway.contract.records import StatusRecord, decode_record
from gateway.core.timekeeping import ClockSet
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper
from tests.sim.clock import START_US, LyingClock, SimClock
from tests.sim.stores import kept

HOUR_US = 3600 * US_PER_S


class Desk:
    """A recorder on a store, and the clock that it goes by."""

    def __init__(self, store: Store, machine: LyingClock) -> None:
        self.store, self.machine, self.clock = store, machine, Timekeeper(machine)
        self.recorder = Recorder(store, self.clock)

    async def note(self, detail: str) -> None:
        """Write a record that is stamped now."""
        await self.recorder.write([StatusRecord(self.clock.utc_us(), "bus_back", SOFTWARE, detail)])

    async def sent(self) -> list[tuple[str, int, int]]:
        """What may go home: event, or detail of our own notes, when it was by its words, and when it was recorded."""
        found = []
        for stored in await kept(self.store):
            record = decode_record(stored.body)
            assert isinstance(record, StatusRecord)
            name = record.detail if record.event == "bus_back" else record.event
            found.append((name, record.at_us - START_US, stored.recorded_us - START_US))
        return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path, START_US)
    yield store
    await store.close()


async def test_what_a_trusted_clock_stamps_may_go_home_at_once(store: Store):
    desk = Desk(store, LyingClock(SimClock()))
    await desk.recorder.begin()
    await desk.note("a")
    assert await desk.sent() == [("a", 0, 0)]
    assert await desk.recorder.follow_clock() is None


async def test_what_a_guess_stamps_waits_for_the_truth(store: Store):
    true = SimClock()
    desk = Desk(store, LyingClock(true, wrong_by_us=-START_US, is_trusted=False))
    await desk.recorder.begin()
    await desk.note("a")
    true.advance(3600)
    await desk.note("b")
    assert await desk.sent() == []
    desk.machine.trust(true.utc_us())
    assert await desk.recorder.follow_clock() == ClockSet(START_US, was_trusted=False)
    await desk.note("c")
    assert await desk.sent() == [
        ("a", 0, 0),
        ("b", HOUR_US, HOUR_US),
        ("clock_set", HOUR_US, HOUR_US),
        ("c", HOUR_US, HOUR_US),
    ]


async def test_a_clock_that_is_set_by_hand_and_then_by_a_server_is_right_in_the_end(store: Store):
    true = SimClock()
    desk = Desk(store, LyingClock(true, wrong_by_us=-START_US, is_trusted=False))
    await desk.recorder.begin()
    await desk.note("a")
    desk.machine.wrong_by_us = -5 * US_PER_S
    assert await desk.recorder.follow_clock() == ClockSet(START_US - 5 * US_PER_S, was_trusted=False)
    await desk.note("b")
    desk.machine.trust(true.utc_us())
    assert await desk.recorder.follow_clock() == ClockSet(5 * US_PER_S, was_trusted=False)
    notes = [(name, at_us) for name, at_us, _ in await desk.sent() if name in "ab"]
    assert notes == [("a", -5 * US_PER_S), ("b", 0)], "by hand was as good as could be had"


async def test_a_clock_that_is_set_again_while_records_are_being_stamped_anew_stamps_each_once(store: Store):
    true, many = SimClock(), 5_000  # which takes more than one go
    desk = Desk(store, LyingClock(true, wrong_by_us=-START_US, is_trusted=False))
    await desk.recorder.begin()
    await desk.recorder.write([StatusRecord(desk.clock.utc_us(), "bus_back", SOFTWARE, "a")] * many)
    desk.machine.wrong_by_us = HOUR_US
    await desk.recorder.follow_clock()
    await desk.note("b")
    desk.machine.trust(true.utc_us())
    await desk.recorder.follow_clock()
    await desk.note("c")
    while await store.mend(desk.clock.utc_us()):
        pass
    sent = await desk.sent()
    # "a" by the clock that was set by hand, which is all that is known of it
    assert [entry for entry in sent if entry[0] == "a"] == [("a", HOUR_US, HOUR_US)] * many
    assert [entry for entry in sent if entry[0] in "bc"] == [("b", 0, 0), ("c", 0, 0)]
    assert [name for name, *_ in sent if name.startswith("clock")] == ["clock_set", "clock_set"]


async def test_a_guess_that_was_right_is_released_as_it_is(store: Store):
    desk = Desk(store, LyingClock(SimClock(), is_trusted=False))
    await desk.recorder.begin()
    await desk.note("a")
    desk.machine.is_trusted = True
    assert await desk.recorder.follow_clock() == ClockSet(0, was_trusted=False)
    assert [name for name, *_ in await desk.sent()] == ["a", "clock_set"]


async def test_a_clock_that_is_set_while_it_is_trusted_is_told_and_nothing_is_stamped_anew(store: Store):
    desk = Desk(store, LyingClock(SimClock()))
    await desk.recorder.begin()
    for by_us in (-HOUR_US, 87_600 * HOUR_US):
        await desk.note("before")
        desk.machine.wrong_by_us += by_us
        assert await desk.recorder.follow_clock() == ClockSet(by_us, was_trusted=True)
    future_us = 87_599 * HOUR_US
    assert await desk.sent() == [
        ("before", 0, 0),
        ("clock_stepped", -HOUR_US, -HOUR_US),
        ("before", -HOUR_US, -HOUR_US),
        ("clock_stepped", future_us, future_us),
    ]


async def test_what_a_start_could_only_guess_is_told_as_a_guess_by_the_next_trusted_one(store: Store):
    first = Desk(store, LyingClock(SimClock(), wrong_by_us=-START_US, is_trusted=False))
    await first.recorder.begin()
    await first.note("lost its power")
    store.boot += 1  # as another start would have it
    second = Desk(store, LyingClock(SimClock(UtcUs(START_US + HOUR_US))))
    await second.recorder.begin()
    assert await second.sent() == [
        ("lost its power", -START_US, -START_US),
        ("clock_guessed", HOUR_US, HOUR_US),
    ]


async def test_a_guess_begins_at_the_newest_instant_on_disk(tmp_path: Path):
    store = await Store.open(tmp_path, START_US)
    before = Desk(store, LyingClock(SimClock()))
    await before.recorder.begin()
    await before.note("well known")
    await store.close()
    store = await Store.open(tmp_path, UtcUs(0))
    after = Desk(store, LyingClock(SimClock(UtcUs(START_US + HOUR_US)), wrong_by_us=-START_US, is_trusted=False))
    await after.recorder.begin()
    assert after.clock.utc_us() == START_US
    await after.note("a guess")
    after.machine.trust(after.machine.true.utc_us())
    assert await after.recorder.follow_clock() == ClockSet(HOUR_US, was_trusted=False)
    assert [entry[:2] for entry in await after.sent() if entry[0] != "clock_set"] == [
        ("well known", 0),
        ("a guess", HOUR_US),
    ]
    await store.close()
