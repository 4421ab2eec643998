import asyncio
from pathlib import Path

import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.records import ReadingsBlock, StatusRecord, decode_record
from gateway.shell.card_ring import CardRing
from gateway.shell.card_state import RETRY_US
from gateway.shell.database import Card
from tests.sim.stores import NOW_US, block, events, kept, numbers, opened, statuses
from tests.sim.weak_card import WeakCard

SOON_US = UtcUs(NOW_US + RETRY_US + 100)
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(("name", "connections"), [("full", 1), ("read_only", 1), ("failing", 2)])
async def test_what_came_while_the_card_took_nothing_is_written_in_order(
    tmp_path: Path, name: Card, connections: int
):
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        await store.append(statuses(2), NOW_US)
        card.card = name
        for first in (3, 5, 7):
            await store.append(statuses(2, first=first), NOW_US)
        assert (store.queue.card, store.queue.ring_records, store.queue.ring_lost) == (name, 6, 0)
        assert numbers(await kept(store)) == [1, 2], "what is not on the card is not sent"
        card.card = "ok"
        await store.append(statuses(1, first=9), SOON_US)
        records = await kept(store)
        assert numbers(records) == list(range(1, 10))
        assert [one.sequence for one in records] == list(range(1, 10))
        assert (store.queue.card, store.queue.ring_records) == ("ok", 0)
        assert card.connections == connections, "a disk that was plugged in again is opened again"


async def test_beyond_its_bound_the_oldest_are_lost_counted_and_told(tmp_path: Path):
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        store._writer.ring = CardRing(bytes_max=3_000)
        card.card = "full"
        for number in range(1, 31):
            await store.append(statuses(1, first=number), UtcUs(NOW_US + number))
        lost = store.queue.ring_lost
        assert lost == 30 - store.queue.ring_records > 0
        card.card = "ok"
        await store.append(statuses(1, first=31), SOON_US)
        records = await kept(store)
        assert numbers(records) == list(range(lost + 1, 32))
        assert events(records) == ["records_lost"]
        told = decode_record(records[0].body)
        assert isinstance(told, StatusRecord)
        assert f"{lost} records" in told.detail
        assert store.queue.ring_lost == lost


async def test_an_order_to_stamp_anew_holds_for_what_stood_in_line_and_not_for_what_came_later(tmp_path: Path):
    async with opened(tmp_path) as store:
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(store.append([block(number)], UtcUs(number), boot=7))
            group.create_task(store.restamp(7, HOUR_US, SOON_US))
            for number in range(3, 6):
                group.create_task(store.append([block(number)], UtcUs(number), boot=7))
        await store.restamp(7, 2 * HOUR_US, SOON_US)
        records = [decode_record(one.body) for one in await kept(store)]
    found = [record.start_us for record in records if isinstance(record, ReadingsBlock)]
    assert found == [HOUR_US + number for number in range(3)] + [2 * HOUR_US + number for number in range(3, 6)]


async def test_an_order_to_stamp_anew_waits_for_the_card(tmp_path: Path):
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        await store.append([block(0)], UtcUs(0), boot=7)
        card.card = "failing"
        await store.append([block(1)], UtcUs(1), boot=7)
        await store.restamp(7, HOUR_US, NOW_US)
        await store.append([block(2)], UtcUs(2), boot=7)
        card.card = "ok"
        await store.append([block(3)], SOON_US, boot=7)
        await store.restamp(7, 2 * HOUR_US, SOON_US)
        records = [decode_record(one.body) for one in await kept(store)]
    found = [record.start_us for record in records if isinstance(record, ReadingsBlock)]
    assert found == [HOUR_US, HOUR_US + 1, 2 * HOUR_US + 2, 2 * HOUR_US + 3]


async def test_an_orderly_stop_tries_the_card_once_more(tmp_path: Path):
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        card.card = "full"
        await store.append(statuses(2), NOW_US)
        card.card = "ok"
    async with opened(tmp_path) as store:
        assert numbers(await kept(store)) == [1, 2]
