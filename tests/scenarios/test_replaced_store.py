"""The file of the store is damaged, replaced or removed: no reading is lost, and none is taken for a duplicate."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.shell import generations
from gateway.shell.store_folder import FILE_NAME, log_of
from tests.sim.site_by_hand import House, enrolled_house

pytestmark = [pytest.mark.slow, pytest.mark.pg]

# More than is brought over in one step.
BLOCKS = 80


@pytest.fixture
async def house(dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    async with enrolled_house(tmp_path, dsn) as house:
        yield house


def replace_by_garbage(path: Path, _: Path) -> None:
    """Somebody restored the wrong file."""
    garbage = path.with_name("garbage")
    garbage.write_bytes(os.urandom(100_000))
    garbage.replace(path)


def remove(path: Path, _: Path) -> None:
    """A factory reset: all that belongs to the store."""
    for name in (path, log_of(path), path.with_name(path.name + "-shm"), path.with_name(generations.FILE_NAME)):
        name.unlink(missing_ok=True)


def remove_the_file_alone(path: Path, _: Path) -> None:
    path.unlink()


def restore(path: Path, copy: Path) -> None:
    """An old copy, by whoever knows that its log does not belong to it."""
    log_of(path).unlink(missing_ok=True)
    shutil.copyfile(copy, path.with_name("restored"))
    path.with_name("restored").replace(path)


def restore_the_file_alone(path: Path, copy: Path) -> None:
    """An old copy, and the log of another file beside it."""
    shutil.copyfile(copy, path.with_name("restored"))
    path.with_name("restored").replace(path)


ACCIDENTS = [replace_by_garbage, remove, remove_the_file_alone, restore, restore_the_file_alone]


async def copy_of_store(house: House, copy: Path) -> None:
    """A copy as a backup makes it: of a gateway that is off."""
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        await gateway.bring_home()
        await gateway.read(BLOCKS)
    shutil.copyfile(house.store / FILE_NAME, copy)


@pytest.mark.parametrize("accident", ACCIDENTS)
async def test_a_file_that_is_replaced_in_mid_run_takes_no_reading_with_it(
    house: House, tmp_path: Path, accident: Callable[[Path, Path], None]
) -> None:
    copy = tmp_path / "copy"
    await copy_of_store(house, copy)
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        await gateway.bring_home()
        await gateway.read(BLOCKS)
        accident(house.store / FILE_NAME, copy)
        await gateway.read(BLOCKS)
        await gateway.bring_home()
    arrival = house.arrival()
    assert arrival.is_whole, arrival
    assert arrival.unsaid == 0
    assert house.generations() == 2


@pytest.mark.parametrize("accident", [replace_by_garbage, remove])
async def test_it_is_noticed_by_an_upload_as_well(
    house: House, tmp_path: Path, accident: Callable[[Path, Path], None]
) -> None:
    copy = tmp_path / "copy"
    await copy_of_store(house, copy)
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        accident(house.store / FILE_NAME, copy)
        await gateway.bring_home()
    arrival = house.arrival()
    assert arrival.is_whole, arrival


async def test_garbage_written_into_the_file_takes_nothing_that_was_not_in_it(house: House) -> None:
    """What waits stands in the log, and what the file alone held is at home."""
    async with house.gateway() as gateway:
        await gateway.read(3 * BLOCKS)
        await gateway.bring_home()
    path = house.store / FILE_NAME
    async with house.gateway() as gateway:
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
        await gateway.read(BLOCKS)
        await gateway.bring_home()
        await gateway.read(BLOCKS)
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        await gateway.bring_home()
    arrival = house.arrival()
    assert arrival.is_whole, arrival
    assert list(house.store.glob("damaged-*.sqlite"))
    assert house.generations() == 2


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_an_old_copy_written_over_the_running_file_takes_nothing_that_was_not_in_it(
    house: House, tmp_path: Path, is_restarted: bool
) -> None:
    """The file stays the same one, so nothing says that it is another; the log beside it does not fit any more."""
    copy = tmp_path / "copy"
    await copy_of_store(house, copy)
    async with house.gateway() as gateway:
        await gateway.read(4 * BLOCKS)
    async with house.gateway() as gateway:
        await gateway.bring_home()
        shutil.copyfile(copy, house.store / FILE_NAME)
        await gateway.read(2 * BLOCKS)
        if not is_restarted:
            await gateway.bring_home()
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        await gateway.bring_home()
    arrival = house.arrival()
    assert arrival.is_whole, arrival


async def test_an_old_copy_that_was_restored_while_it_was_off_swallows_nothing(house: House, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    await copy_of_store(house, copy)
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        await gateway.bring_home()
    restore(house.store / FILE_NAME, copy)
    async with house.gateway() as gateway:
        await gateway.read(2 * BLOCKS)
        await gateway.bring_home()
        await gateway.read(BLOCKS)
        await gateway.bring_home()
    arrival = house.arrival()
    assert arrival.is_whole, arrival
    assert arrival.unsaid == 0
    assert house.generations() == 2


async def test_an_old_copy_may_come_back_again_and_again(house: House, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    await copy_of_store(house, copy)
    for _ in range(3):
        async with house.gateway() as gateway:
            await gateway.read(BLOCKS)
            await gateway.bring_home()
        restore(house.store / FILE_NAME, copy)
    async with house.gateway() as gateway:
        await gateway.read(BLOCKS)
        await gateway.bring_home()
    arrival = house.arrival()
    assert arrival.is_whole, arrival
    assert house.generations() == 4
