from pathlib import Path

from firmware_bridge.reading import UtcUs
from tests.sim.stores import NOW_US, events, kept, look, numbers, opened, statuses
from tests.sim.weak_card import WeakCard

SOON_US = UtcUs(NOW_US + 60_000_000)


async def test_a_refused_record_is_kept_told_and_passed_over(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(5), NOW_US)
        for _ in range(2):
            await store.quarantine(2, "the cloud cannot decode it", SOON_US)
        await store.quarantine(99, "there is no such record", SOON_US)
        records = await kept(store)
        assert numbers(records) == [1, 3, 4, 5]
        assert events(records) == ["record_quarantined"]
        assert (store.queue.records, store.queue.quarantined) == (5, 1)
        assert look(tmp_path, "SELECT sequence, at_us, reason FROM quarantine") == [
            (2, SOON_US, "the cloud cannot decode it")
        ]
    async with opened(tmp_path) as store:
        assert numbers(await kept(store)) == [1, 3, 4, 5]
        assert store.queue.quarantined == 1
        await store.acknowledge(6)
        await store.rewind(0)
        assert numbers(await kept(store)) == [1, 3, 4, 5]
        await store.prune(NOW_US * 2)
        assert (2,) in look(tmp_path, "SELECT sequence FROM record"), "no signed word of the cloud has it"


async def test_what_the_cloud_said_while_the_card_took_nothing_is_written_later(tmp_path: Path):
    card = WeakCard()
    async with opened(tmp_path, connect=card.connect) as store:
        await store.append(statuses(6), NOW_US)
        card.card = "full"
        await store.acknowledge(2)
        await store.quarantine(4, "refused", NOW_US)
        await store.acknowledge(3)
        assert store.queue.acknowledged == 3
        assert numbers(await kept(store)) == [5, 6]
        assert store.queue.card == "full"
        card.card = "ok"
        await store.append(statuses(1, first=7), SOON_US)
        assert store.queue.card == "ok"
    async with opened(tmp_path) as store:
        assert (store.queue.acknowledged, store.queue.quarantined) == (3, 1)
        assert numbers(await kept(store)) == [5, 6, 7]
