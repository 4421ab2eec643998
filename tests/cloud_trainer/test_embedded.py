import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from cloud_trainer.embedded import EmbeddedPostgres
from firmware_bridge.errors import ConflictError, SettingError

pytestmark = [pytest.mark.slow, pytest.mark.pg]

# What a parent of ours does before it is killed: start, store, say so, wait for ever.
PARENT = """
import sys
from pathlib import Path
import psycopg
from cloud_trainer.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as dsn:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    print(dsn, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet, below one with a space that nobody else may enter."""
    parent = tmp_path / "x y"
    parent.mkdir(mode=0o700)
    return parent / "demo" / "pg"


def owners_and_modes(folder: Path) -> dict[Path, tuple[int, int, int]]:
    return {
        parent: (status.st_mode, status.st_uid, status.st_gid)
        for parent in folder.parents
        if parent.exists()
        for status in [parent.stat()]
    }


def runtime_of(dsn: str) -> Path:
    return Path(str(psycopg.conninfo.conninfo_to_dict(dsn)["host"]))


def test_serves_a_folder_with_a_space_and_changes_no_mode_above_it(folder: Path) -> None:
    before = owners_and_modes(folder)
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_setting('fsync'), current_setting('server_encoding')").fetchone()
        assert row == ("on", "UTF8")
    after = owners_and_modes(folder)
    assert {parent: after[parent] for parent in before} == before


def test_leaves_nothing_outside_its_folder(folder: Path) -> None:
    with EmbeddedPostgres(folder) as dsn:
        runtime = runtime_of(dsn)
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert not runtime.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["data", "lock", "postgresql.log"]


def test_lets_in_nobody_but_the_user_who_started_it(folder: Path) -> None:
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        rules = connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
        addresses = connection.execute("SHOW listen_addresses").fetchone()
    assert rules == [("local", "peer")]
    assert addresses == ("",)


def test_keeps_the_data_from_one_start_to_the_next(folder: Path) -> None:
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (42,)


def test_two_at_a_time_on_one_folder_are_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder) as dsn:
        with pytest.raises(ConflictError, match="in use by another process"):
            EmbeddedPostgres(folder).start()
        psycopg.connect(dsn).close()


def test_a_killed_parent_takes_the_server_with_it_and_the_next_start_tidies_up(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        runtime = runtime_of(parent.stdout.readline())
        server = os.pidfd_open(int((folder / "data/postmaster.pid").read_text().splitlines()[0]))
        parent.kill()
    assert runtime.exists()
    try:
        assert select.select([server], [], [], 10.0)[0], "the server ends by itself"
    finally:
        os.close(server)
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (42,)
    assert not runtime.exists()


def test_a_start_leaves_the_directories_of_others_alone(folder: Path) -> None:
    with EmbeddedPostgres(folder / "one") as dsn, EmbeddedPostgres(folder / "two"):
        psycopg.connect(dsn).close()


def test_ends_a_server_that_outlived_its_parent(folder: Path) -> None:
    orphaned = EmbeddedPostgres(folder)
    orphaned.start()
    pid = int((folder / "data/postmaster.pid").read_text().splitlines()[0])
    (folder / "lock").unlink()  # as if the process that held it were gone
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert int((folder / "data/postmaster.pid").read_text().splitlines()[0]) != pid
    orphaned.stop()


def test_a_process_id_that_now_belongs_to_another_program_is_no_obstacle(folder: Path) -> None:
    with EmbeddedPostgres(folder) as dsn:
        runtime = runtime_of(dsn)
        lines = (folder / "data/postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (folder / "data/postmaster.pid").write_text("\n".join(lines) + "\n")
    with EmbeddedPostgres(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not runtime.exists()


def test_a_start_that_was_cut_short_is_begun_anew(folder: Path) -> None:
    (folder / "data.draft").mkdir(parents=True)
    (folder / "data.draft/PG_VERSION").write_text("half")
    with EmbeddedPostgres(folder) as dsn:
        psycopg.connect(dsn).close()
    assert not (folder / "data.draft").exists()


def test_data_that_is_none_ends_in_one_sentence_and_leaves_nothing(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    with pytest.raises(SettingError, match="see postgresql"):
        EmbeddedPostgres(folder).start()
    assert sorted(path.name for path in folder.iterdir()) == ["data", "lock", "postgresql.log"]


def test_a_file_in_the_way_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pg").write_text("a file")
    with pytest.raises(SettingError, match="embedded = "):
        EmbeddedPostgres(tmp_path / "pg").start()


def test_a_stop_twice_is_a_stop_once(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    server.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pid = int((folder / "data/postmaster.pid").read_text().splitlines()[0])
        assert os.getpgid(pid) != os.getpgrp()
