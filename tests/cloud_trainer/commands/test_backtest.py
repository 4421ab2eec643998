import importlib.util
import json
import subprocess
import sys

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from tests.sim.recordings import write_hourly

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
# Twenty seconds on two cores that have nothing else to do.
BACKTEST_S_MAX = 300
KEYS = ["mae", "rmse", "r2", "skill", "pinball", "coverage", "n_train", "n_val", "n_test", "artefact_kb", "chosen"]


def arguments(file, **changes):
    given = {"data": file, "time": "when", "value": "kw", "cadence": "1h", "horizon": "24h"} | changes
    return ["backtest", *(word for name, value in given.items() for word in (f"--{name}", str(value)))]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cadence": "often"}, "--cadence = 'often': is no length of time"),
        ({"horizon": "3d"}, "with --horizon 3d"),
        ({"seed": -1}, "--seed = -1: is not within"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(tmp_path, capsys, changes, said):
    assert main(arguments(tmp_path / "x.csv", **changes)) == Exit.BAD_SETTING
    assert said in capsys.readouterr().err


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed here")
def test_without_tensorflow_the_next_step_is_named(tmp_path, capsys):
    assert main(arguments(tmp_path / "x.csv")) == Exit.BAD_SETTING
    assert "run `make setup-trainer`" in capsys.readouterr().err


def backtest(file, **changes):
    return subprocess.run(
        [sys.executable, "-m", "cloud_trainer", *arguments(file, **changes)],
        capture_output=True,
        text=True,
        timeout=BACKTEST_S_MAX,
    )


@pytest.mark.tf
@pytest.mark.slow
def test_the_last_line_is_an_object_of_what_a_gateway_would_have_shown(tmp_path):
    file = write_hourly(tmp_path / "hall.csv.gz", days=70, gaps=True)
    ended = backtest(file, report=tmp_path / "report")
    assert ended.returncode == Exit.OK, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert list(told) == KEYS
    assert told["chosen"] in ("ridge", "step_mlp", "blend")
    assert told["skill"] > 0.05
    assert 0.6 < told["coverage"] < 0.95
    assert 0.05 < told["mae"] < 2.0, "in the unit of the column"
    assert told["artefact_kb"] > 10
    assert told["n_train"] > 3 * told["n_test"] > told["n_val"] > 0
    assert (tmp_path / "report" / "report.md").exists()


@pytest.mark.tf
@pytest.mark.slow
def test_where_nothing_is_better_the_naive_forecast_is_told(tmp_path):
    file = write_hourly(tmp_path / "hall.csv.gz", days=60, is_chance=True)
    ended = backtest(file)
    assert ended.returncode == Exit.OK, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert (told["chosen"] in ("daily_naive", "seasonal_naive"), told["artefact_kb"]) == (True, 0)
    assert told["skill"] <= 0


@pytest.mark.tf
def test_what_a_check_refuses_is_not_learnt_from(tmp_path, capsys):
    assert main(arguments(write_hourly(tmp_path / "short.csv.gz", days=5))) == Exit.BAD_SETTING
    assert "none can be trained: short (too_short)" in capsys.readouterr().err
    assert main(arguments(tmp_path / "gone.csv")) == Exit.NOT_FOUND
