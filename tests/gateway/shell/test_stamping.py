from pathlib import Path

from firmware_bridge.reading import UtcUs
from gateway.contract.records import ReadingsBlock, StatusRecord, decode_record
from gateway.shell import card_writer, stamping
from tests.sim.stores import NOW_US, block, change, events, kept, look, opened, statuses

HOUR_US = 3_600_000_000
LATER_US = UtcUs(NOW_US + HOUR_US)


async def starts(store) -> list[int]:
    records = [decode_record(one.body) for one in await kept(store)]
    return [record.start_us for record in records if isinstance(record, ReadingsBlock)]


async def notes(store) -> list[StatusRecord]:
    records = [decode_record(one.body) for one in await kept(store)]
    return [record for record in records if isinstance(record, StatusRecord)]


async def test_what_was_guessed_is_stamped_anew_in_order_and_goes_home(tmp_path: Path):
    async with opened(tmp_path) as store:
        for number in range(3):
            await store.append([block(number)], UtcUs(number), boot=7)
        assert await kept(store) == []
        await store.restamp(7, HOUR_US, LATER_US)
        assert await starts(store) == [HOUR_US, HOUR_US + 1, HOUR_US + 2]
        records = await kept(store)
        assert [one.recorded_us for one in records] == [HOUR_US, HOUR_US + 1, HOUR_US + 2, LATER_US]
        assert [one.sequence for one in records] == [1, 2, 3, 4]
        assert events(records) == ["clock_set"]
        assert "3600.000 s" in (await notes(store))[0].detail
        assert store.queue.bytes == sum(len(one.body) for one in records)
        assert look(tmp_path, "SELECT count(*) FROM stamp") == [(0,)]


async def test_what_an_earlier_start_guessed_stays_as_it_is_and_that_is_told(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append([block(1)], UtcUs(1), boot=6)
    async with opened(tmp_path) as store:
        await store.append([block(2)], UtcUs(2), boot=7)
        await store.restamp(7, HOUR_US, LATER_US)
        assert await starts(store) == [1, HOUR_US + 2]
        assert events(await kept(store)) == ["clock_set", "clock_guessed"]


async def test_a_clock_that_was_right_and_guessed_nothing_is_no_news(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(2), NOW_US)
        await store.restamp(7, 0, LATER_US)
        assert events(await kept(store)) == []


async def test_many_are_stamped_in_steps_and_a_restart_goes_on_with_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(stamping, "_STAMP_RECORDS", 3)
    monkeypatch.setattr(card_writer, "STAMP_STEPS", 2)
    async with opened(tmp_path) as store:
        await store.append([block(number) for number in range(20)], UtcUs(0), boot=7)
        await store.restamp(7, HOUR_US, LATER_US)
        assert await starts(store) == [HOUR_US + number for number in range(6)]
    async with opened(tmp_path) as store:
        assert await store.mend(LATER_US)
        while await store.mend(LATER_US):
            pass
        assert await starts(store) == [HOUR_US + number for number in range(20)]
        assert not await store.mend(LATER_US)


async def test_a_record_that_rotted_is_released_as_it_is(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append([block(number) for number in range(3)], UtcUs(0), boot=7)
    change(tmp_path, "UPDATE record SET body = x'00ff' WHERE sequence = 2")
    async with opened(tmp_path) as store:
        await store.restamp(7, HOUR_US, LATER_US)
        assert [one.body for one in await kept(store)][1] == b"\x00\xff"
        assert look(tmp_path, "SELECT count(*) FROM record WHERE boot IS NOT NULL") == [(0,)]
