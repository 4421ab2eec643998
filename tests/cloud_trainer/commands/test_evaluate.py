import json

import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.commands.evaluate import shown
from firmware_bridge.errors import Exit
from tests.sim.bundled import FACTORY, NAME
from tests.sim.recordings import write_home


@pytest.fixture
def home(tmp_path):
    return write_home(tmp_path / "data" / "home.csv", days=42)


@pytest.mark.slow
def test_every_model_is_shown_on_every_site_that_has_what_it_forecasts(home, capsys):
    command = ["evaluate", "--bundle", str(FACTORY), "--data", str(home.parent)]
    assert main([*command, "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert {one["site"] for one in told} == {"home"}
    models = [one["model"] for one in told]
    assert NAME in models
    assert "energy_forecast_production_96x15min" in models
    assert "load_prediction_consumption_12x5min" not in models, "the recording is too coarse"
    for one in told:
        assert set(one["shown"]) == {"mae", "rmse", "r2", "skill", "pinball", "coverage"}
        assert one["issues"] > 100
    assert main(command) == Exit.OK
    table = capsys.readouterr().out
    assert table.startswith("model")
    assert table.count("home") == len(told)


def test_a_folder_without_a_bundle_is_named_before_anything_is_read(tmp_path, capsys):
    assert main(["evaluate", "--bundle", str(tmp_path), "--data", "nowhere"]) == Exit.NOT_FOUND
    assert f"bundle = {tmp_path}: cannot be read" in capsys.readouterr().err


def test_nothing_to_judge_by_is_said():
    assert shown([]) == "no site has what any of its models forecasts\n"
