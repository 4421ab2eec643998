import importlib.util
import json

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from tests.sim.recordings import write_home

pytestmark = pytest.mark.slow

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed here")
def test_a_machine_that_cannot_train_says_why_and_what_there_is_all_the_same(tmp_path, capsys):
    write_home(tmp_path / "home.csv", days=42)
    assert main(["doctor", "--data", str(tmp_path), "--json"]) == Exit.FAILED
    told = json.loads(capsys.readouterr().out)
    assert told["is_fit"] is False
    assert any("make setup-trainer" in problem for problem in told["problems"])
    assert [one["site"] for one in told["sites"]] == ["home"]
    assert told["models"][0].startswith("energy_forecast_consumption_96x15min: 1 sites; windows: ")


def test_without_data_it_tells_of_the_machine_alone(capsys):
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Python 3.")
    assert lines[-1] in ("train could begin", "train could not begin")
    assert any("accepts bundles" in line for line in lines)


def test_a_database_that_is_away_is_another_exit_code(capsys):
    assert main(["doctor", "--dsn", "host=127.0.0.1 port=1 user=x dbname=x"]) == Exit.UNREACHABLE
    assert "the database cannot be used" in capsys.readouterr().err
