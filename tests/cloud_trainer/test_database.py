from pathlib import Path

import psycopg
import pytest

from cloud_trainer.database import connect, only_gateway, read_dsn
from cloud_trainer.ingest.db import store_batch
from firmware_bridge.errors import Exit, NotFoundError, SettingError
from tests.sim.cloud_records import START_US, batch, power


def test_a_dsn_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("host=db user=me password='se cret'\n")
    values = psycopg.conninfo.conninfo_to_dict(read_dsn(f"@{tmp_path / 'dsn'}"))
    assert (values["host"], values["password"], values["connect_timeout"]) == ("db", "se cret", "5")


@pytest.mark.parametrize("given", ["nonsense", "password=secret nonsense", "@/nowhere/at/all"])
def test_what_is_no_dsn_is_told_without_repeating_it(given: str) -> None:
    with pytest.raises(SettingError, match="--dsn") as told:
        read_dsn(given)
    assert "secret" not in str(told.value)


def test_a_file_with_a_dsn_that_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_bytes(b"\xff")
    for name, problem in (
        ("gone", "No such file or directory"),
        ("", "Is a directory"),
        ("dsn", "it is not UTF-8 text"),
    ):
        with pytest.raises(SettingError, match=rf"cannot be read \({problem}\)"):
            read_dsn(f"@{tmp_path / name}")


@pytest.mark.slow
@pytest.mark.pg
@pytest.mark.usefixtures("gateways")
async def test_the_only_gateway_need_not_be_named(dsn: str) -> None:
    with connect(dsn) as connection, pytest.raises(NotFoundError, match="default has sent nothing yet"):
        only_gateway(connection, "default", None)
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await store_batch(writer, batch([power(START_US, [1.0])], gateway="gw-1"))
        with connect(dsn) as connection:
            assert only_gateway(connection, "default", None) == ("default", "gw-1")
        await store_batch(writer, batch([power(START_US, [1.0])], gateway="gw-2"))
    with connect(dsn) as connection:
        assert only_gateway(connection, "default", "gw-2") == ("default", "gw-2")
        with pytest.raises(SettingError, match="gw-1, gw-2") as told:
            only_gateway(connection, "default", None)
        assert told.value.exit_code == Exit.BAD_SETTING
        with pytest.raises(NotFoundError, match="gw-3"):
            only_gateway(connection, "default", "gw-3")
        with pytest.raises(NotFoundError, match="other has sent nothing yet"):
            only_gateway(connection, "other", "gw-1")
