from pathlib import Path

from gateway.shell.generations import Salvage
from gateway.shell.old_files import DamagedFile, LostFile
from gateway.shell.store import FILE_NAME
from tests.sim.stores import NOW_US, opened, statuses


async def sequences(source) -> list[int]:
    found = []
    while records := await source.take():
        found += [record.sequence for record in records]
    return found


async def test_a_lost_file_gives_first_what_is_not_at_home(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(200), NOW_US)
        await store.acknowledge(150)
        source = LostFile(store._keeper.file)
        assert source.below == 201
        assert await source.begin() == ([], None)
        assert await sequences(source) == [*range(151, 201), *range(1, 151)]


async def test_a_lost_file_that_cannot_be_read_any_more_is_at_its_end(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(5), NOW_US)
        source = LostFile(store._keeper.file)
        await store._keeper.file.database.script("DROP TABLE record;")
        assert await source.take() == []
        assert await source.take() == []


async def test_a_lost_file_leaves_the_log_of_another_alone_when_it_is_closed(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(5), NOW_US)
        log = tmp_path / f"{FILE_NAME}-wal"
        log.rename(tmp_path / "ours")
        log.write_text("another's")
        await LostFile(store._keeper.file).close()
        store._keeper.file = None
        assert log.read_text() == "another's"


async def test_a_damaged_file_is_read_again_from_its_beginning(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(200), NOW_US)
        await store.acknowledge(7)
        generation = store.generation
    (tmp_path / FILE_NAME).rename(tmp_path / "damaged-1.sqlite")
    source = DamagedFile(tmp_path, Salvage("damaged-1.sqlite", 900))
    assert source.bytes == (tmp_path / "damaged-1.sqlite").stat().st_size
    assert await source.take() == []
    for _ in range(2):
        assert await source.begin() == ([(1, generation)], 7)
        assert (await source.take())[0].sequence == 1
    assert (await sequences(source))[-1] == 200
    await source.close()
    assert await source.take() == []
