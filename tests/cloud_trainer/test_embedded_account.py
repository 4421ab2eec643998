import os
from pathlib import Path

import pytest

from cloud_trainer.embedded_account import Account, server_account, server_programs

IS_ROOT = os.geteuid() == 0


def test_an_ordinary_user_runs_the_server_from_the_wheel(tmp_path: Path) -> None:
    ourselves = Account(None, None)
    assert ourselves.groups is None
    programs = server_programs(tmp_path, ourselves)
    assert {"postgres", "initdb"} <= {path.name for path in programs.iterdir()}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(IS_ROOT, reason="runs as root")
def test_who_is_not_root_stays_who_he_is(tmp_path: Path) -> None:
    assert server_account(tmp_path / "data") == Account(None, None)


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_root_becomes_the_owner_of_the_data_or_nobody(tmp_path: Path) -> None:
    account = server_account(tmp_path / "data")
    assert account.uid not in (None, 0)
    assert account.groups == []
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 4242, 4343)
    assert server_account(tmp_path / "data") == Account(4242, 4343)


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_another_account_gets_programs_of_its_own(tmp_path: Path) -> None:
    programs = server_programs(tmp_path, Account(4242, 4343))
    assert programs.is_relative_to(tmp_path)
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {4242}
