import json
from pathlib import Path

import psycopg
import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from tests.sim.audited_site import fill

pytestmark = [pytest.mark.slow, pytest.mark.pg]


@pytest.mark.usefixtures("gateways")
async def test_the_command_prints_a_table_and_says_it_with_its_exit_code(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await fill(dsn, tmp_path)
    arguments = ["audit", "--dsn", dsn, "--log", str(tmp_path / "log"), "--poll-s", "60"]
    assert main(arguments) == Exit.OK
    assert "every value is what was given out" in capsys.readouterr().out
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE reading_row SET mean = mean + 1 FROM series"
            " WHERE series.series_id = reading_row.series_id AND sequence = 2 AND meter = 'solar'"
        )
    assert main([*arguments, "--json"]) == Exit.FAILED
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["mismatches"]) == (False, 1)
    assert told["examples"][0]["column"] == "mean"


@pytest.mark.usefixtures("gateways")
async def test_an_unknown_gateway_ends_in_one_sentence(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await fill(dsn, tmp_path)
    arguments = ["audit", "--dsn", dsn, "--log", str(tmp_path / "log"), "--poll-s", "60", "--gateway", "gw-9"]
    assert main(arguments) == Exit.NOT_FOUND
    assert "known are gw-1" in capsys.readouterr().err
