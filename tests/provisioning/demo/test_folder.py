"""The folder is ours before anything is put into it, and nobody else's while we use it."""

from pathlib import Path

import pytest

from firmware_bridge.errors import ConflictError, SettingError
from provisioning.demo.folder import MARKER, owned


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def a_strangers(folder: Path) -> Path:
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "us.jpg").write_bytes(b"us")
    return folder


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path):
    folder = tmp_path / "a" / "b"
    with owned(folder):
        assert everything_in(folder) == [MARKER]


def test_an_empty_folder_is_taken_as_it_is(tmp_path: Path):
    folder = tmp_path / "empty"
    folder.mkdir(mode=0o700)
    with owned(folder):
        assert everything_in(folder) == [MARKER]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_an_earlier_run_left_is_removed_and_what_its_links_point_to_is_not(tmp_path: Path):
    folder, other = tmp_path / "demo", a_strangers(tmp_path / "other")
    with owned(folder):
        pass
    a_strangers(folder / "left")
    (folder / "log").write_text("old")
    (folder / "link").symlink_to(other)
    with owned(folder):
        assert everything_in(folder) == [MARKER]
    assert (other / "photos" / "us.jpg").exists()


def test_somebody_elses_folder_is_refused_and_stays_untouched(tmp_path: Path):
    folder = a_strangers(tmp_path / "mine")
    before = everything_in(folder)
    with (
        pytest.raises(SettingError, match=f"--folder = {folder}: holds something else than a demonstration"),
        owned(folder),
    ):
        pass
    assert everything_in(folder) == before


@pytest.mark.parametrize("name", ["file", "file/below", "\udcff"])
def test_what_cannot_be_a_folder_is_refused(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="--folder"), owned(tmp_path / name):
        pass


def test_two_in_one_folder_are_refused_and_the_first_keeps_what_it_has(tmp_path: Path):
    with owned(tmp_path / "demo"):
        (tmp_path / "demo" / "store").write_text("mine")
        with pytest.raises(ConflictError, match="is in use by another demonstration"), owned(tmp_path / "demo"):
            pass
        assert (tmp_path / "demo" / "store").read_text() == "mine"
