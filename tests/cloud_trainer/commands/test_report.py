import json

import psycopg
import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.ingest.db import store_batch
from firmware_bridge.errors import Exit
from tests.sim.cloud_records import GATEWAY, batch, one_of_each

pytestmark = [pytest.mark.slow, pytest.mark.pg]


@pytest.mark.usefixtures("gateways")
async def test_the_command_prints_the_report_for_people_and_for_programs(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await store_batch(connection, batch(one_of_each()))
    assert main(["report", "--dsn", dsn]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{GATEWAY}: 6 records, 2 rows of readings"
    assert "  anomaly spike of grid.active_power_w: A spike." in lines
    assert "  model activated: release 2 verified" in lines
    assert main(["report", "--dsn", dsn, "--gateway", GATEWAY, "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert sum(told["records"].values()) == 6
    assert told["model_events"][0]["event"] == "activated"
    assert told["decisions"][0]["bundle"] == "ab" * 32


def test_an_empty_database_and_an_unknown_gateway_are_told_in_one_sentence(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--gateway", "nobody"]):
        assert main(["report", "--dsn", dsn, *more]) == Exit.NOT_FOUND
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("smartwatts-trainer: --gateway = ")
        assert said.err.count("\n") == 1
