import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_bridge.errors import ConflictError, SettingError
from gateway.shell.database import StorageError
from gateway.shell.store_folder import (
    FILE_NAME,
    FolderLock,
    aside_name,
    file_bytes,
    forget_log,
    identity,
    log_of,
    move_aside,
    refused,
    touch,
)
from tests.sim.stores import NOW_US


def test_a_folder_is_held_by_one_and_free_again_afterwards(tmp_path: Path):
    first, second = FolderLock(tmp_path / "made"), FolderLock(tmp_path / "made")
    first.hold()
    first.hold()
    with pytest.raises(ConflictError, match="in use by another gateway"):
        second.hold()
    first.release()
    second.hold()
    second.release()


def test_a_lock_whose_file_is_gone_is_taken_anew(tmp_path: Path):
    lock = FolderLock(tmp_path)
    lock.hold()
    (tmp_path / "store.lock").unlink()
    lock.hold()
    with pytest.raises(ConflictError):
        FolderLock(tmp_path).hold()
    lock.release()


def stand_in_the_way(folder: Path) -> Path:
    folder.write_text("a file")
    return folder


def lie_under_a_file(folder: Path) -> Path:
    folder.write_text("a file")
    return folder / "store"


def make_the_lock_a_folder(folder: Path) -> Path:
    (folder / "store.lock").mkdir(parents=True)
    return folder


def name_it_too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


@pytest.mark.parametrize("spoil", [stand_in_the_way, lie_under_a_file, make_the_lock_a_folder, name_it_too_long])
def test_a_folder_that_cannot_be_used_is_a_setting_error(tmp_path: Path, spoil: Callable[[Path], Path]):
    folder = spoil(tmp_path / "data")
    for _ in range(2):  # the first refusal holds nothing
        with pytest.raises(SettingError) as caught:
            FolderLock(folder).hold()
        assert (caught.value.field, caught.value.value) == ("store.folder", str(folder))


def test_a_folder_in_the_place_of_the_file_is_a_setting_error(tmp_path: Path):
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(SettingError):
        touch(tmp_path / FILE_NAME)


@pytest.mark.parametrize(
    ("number", "card"),
    [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EROFS, "read_only"), (errno.EIO, "failing")],
)
def test_errors_of_the_disk_are_no_settings(tmp_path: Path, number: int, card: str):
    error = refused(tmp_path, OSError(number, os.strerror(number)))
    assert isinstance(error, StorageError)
    assert error.card == card
    assert isinstance(refused(tmp_path, OSError(errno.EACCES, "Permission denied")), SettingError)


def test_another_file_or_another_log_has_another_identity(tmp_path: Path):
    path = tmp_path / FILE_NAME
    assert identity(path) is None
    path.touch()
    assert identity(path) is None
    log_of(path).touch()
    before = identity(path)
    assert before == identity(path) is not None
    for replaced in (path, log_of(path)):
        (tmp_path / "other").touch()
        (tmp_path / "other").replace(replaced)
        assert identity(path) not in (before, None)


def test_the_log_goes_with_its_file_and_a_name_is_never_taken_twice(tmp_path: Path):
    path = tmp_path / FILE_NAME
    names = []
    for round_ in range(2):
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"{FILE_NAME}{suffix}").write_text(f"{suffix} {round_}")
        assert file_bytes(path) == len(" 0") + len("-wal 0")
        names.append(aside_name(path, "damaged", NOW_US))
        move_aside(path, names[-1])
        assert [entry.name for entry in tmp_path.glob("store*")] == []
        assert (tmp_path / f"{names[-1]}-wal").read_text() == f"-wal {round_}"
        assert (tmp_path / names[-1]).read_text() == f" {round_}"
    assert names == [f"damaged-{NOW_US}.sqlite", f"damaged-{NOW_US + 1}.sqlite"]
    assert file_bytes(path) == 0


def test_a_move_that_a_power_cut_ended_is_finished(tmp_path: Path):
    path = tmp_path / FILE_NAME
    (tmp_path / "damaged-1.sqlite").write_text("moved before the cut")
    log_of(path).write_text("left behind")
    move_aside(path, "damaged-1.sqlite")
    assert (tmp_path / "damaged-1.sqlite-wal").read_text() == "left behind"
    assert (tmp_path / "damaged-1.sqlite").read_text() == "moved before the cut"


def test_a_log_is_forgotten_with_its_index(tmp_path: Path):
    path = tmp_path / FILE_NAME
    log_of(path).touch()
    forget_log(path)
    forget_log(path)
    assert list(tmp_path.iterdir()) == []
