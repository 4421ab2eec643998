import json

import psycopg
import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.ingest.db import store_batch
from firmware_bridge.errors import Exit
from gateway.contract.records import ForecastRecord, Rung
from tests.sim.cloud_records import START_US, STEP_US, batch, power

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def forecast(rung: Rung, p50: list[int]) -> ForecastRecord:
    return ForecastRecord(START_US, "consumption_w", rung, None, START_US, STEP_US, p50, p50, p50)


@pytest.mark.usefixtures("gateways")
async def test_the_command_prints_both_errors(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["score", "--dsn", dsn, "--solar", "solar", "--from-day", "1"]
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await store_batch(connection, batch([power(START_US + STEP_US, [100.0] * 5, [-50.0] * 5)]))
        assert main(arguments) == Exit.FAILED
        assert "no model forecast" in capsys.readouterr().out
        records = [forecast("model", [0, 160]), forecast("seasonal_naive", [0, 190])]
        await store_batch(connection, batch(records, first=2, recorded_us=[START_US] * 2))
    assert main(arguments) == Exit.OK
    assert "seasonal_naive" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == Exit.OK
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["pairs"], told["model_mae_w"], told["baseline_mae_w"]) == (1, 10.0, 40.0)
