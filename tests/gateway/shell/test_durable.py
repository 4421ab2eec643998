import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.shell import durable
from tests.sim.full_disk import files_limited_to


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_written_bytes_are_there_and_nothing_else(tmp_path, data):
    path = tmp_path / "state"
    durable.write_atomically(path, data)
    assert path.read_bytes() == data
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_file_gets_the_mode_that_was_asked_for_whatever_the_old_one_had(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    durable.write_atomically(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_draft_left_by_a_power_cut_is_no_obstacle(tmp_path):
    (tmp_path / ".state.draft").write_bytes(b"half of")
    durable.write_atomically(tmp_path / "state", b"whole")
    assert (tmp_path / "state").read_bytes() == b"whole"
    assert not (tmp_path / ".state.draft").exists()


def test_planted_link_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".state.draft").symlink_to(victim)
    durable.write_atomically(tmp_path / "state", b"data")
    assert victim.read_bytes() == b"precious"


def test_failed_rename_leaves_what_was_there_and_no_draft(tmp_path):
    target = tmp_path / "state"
    (target / "in the way").mkdir(parents=True)
    with pytest.raises(OSError):
        durable.write_atomically(target, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_missing_folder_is_an_error_of_the_caller(tmp_path):
    with pytest.raises(FileNotFoundError):
        durable.write_atomically(tmp_path / "nowhere" / "state", b"data")


def test_folders_are_made_with_their_parents_for_us_alone(tmp_path):
    made = durable.make_folder(tmp_path / "a" / "b")
    assert made.is_dir()
    assert made.stat().st_mode & 0o777 == 0o700


def test_mode_of_a_folder_that_was_there_is_not_ours_to_change(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o755)
    durable.make_folder(there / "ours")
    assert there.stat().st_mode & 0o777 == 0o755


def test_moved_folder_replaces_what_was_there(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    durable.move_folder(tmp_path / "new", tmp_path / "old")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["old", "old/new"]


def test_tree_with_links_and_folders_is_synced_without_following(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    (tmp_path / "dangling").symlink_to("/nowhere/at/all")
    durable.sync_tree(tmp_path)


@pytest.mark.parametrize("make", ["file", "folder", "link", "nothing"])
def test_anything_can_be_removed_and_a_link_only_itself(tmp_path, make):
    victim = tmp_path / "victim"
    victim.mkdir()
    path = tmp_path / "path"
    match make:
        case "file":
            path.touch()
        case "folder":
            (path / "deep").mkdir(parents=True)
        case "link":
            path.symlink_to(victim)
    durable.remove_tree(path)
    assert not os.path.lexists(path)
    assert victim.is_dir()


def test_full_disk_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "state"
    durable.write_atomically(path, b"old")
    with files_limited_to(1000), pytest.raises(OSError):
        durable.write_atomically(path, bytes(2000))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
