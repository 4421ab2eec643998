from pathlib import Path

from gateway.shell.heritage import Heritage, heritage_of, take_over
from gateway.shell.store import FILE_NAME
from tests.sim.stores import NOW_US, all_kept, look, numbers, opened, statuses


async def test_what_a_file_knows_beside_its_records_goes_on_in_the_next_one(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(4), NOW_US)
        await store.waiting(frozenset({"status"}), 1, 1)
        await store.acknowledge(1)
        await store.quarantine(3, "refused", NOW_US)
        (tmp_path / FILE_NAME).unlink()
        await store.append(statuses(1, first=5), NOW_US)
        assert numbers(one for _, one in await all_kept(store, {"status"})) == [2, 4, 5]
        assert (store.queue.acknowledged, store.queue.quarantined) == (1, 1)
        assert look(tmp_path, "SELECT kinds FROM shared") == [(" status ",)]


async def test_what_a_damaged_file_says_and_does_not_fit_is_left_behind(tmp_path: Path):
    async with opened(tmp_path) as store:
        file = store._keeper.file
        await store.append(statuses(2), NOW_US)
        heritage = await heritage_of(file)
        assert (heritage.acknowledged, heritage.last, heritage.tables["quarantine"]) == (0, 2, [])
        async with file.transaction() as database:
            rows = {"quarantine": [(2, NOW_US, "refused"), (3, None, "no instant")], "shared": [(1, None)]}
            await take_over(database, Heritage(heritage.generations, dropped_records=9, tables=rows))
        await file.reread()
        assert (file.position.quarantined, file.position.dropped_records, file.position.kinds) == (1, 9, None)


async def test_a_table_that_cannot_be_read_is_an_empty_one(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store._keeper.file.database.script("DROP TABLE quarantine; CREATE TABLE other (x);")
        heritage = await heritage_of(store._keeper.file)
        assert "quarantine" not in heritage.tables
        assert heritage.generations
