import importlib.util
import json
import subprocess
import sys

import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.commands.once import _chosen, _Trained
from cloud_trainer.dataset import Dataset
from cloud_trainer.once import FACTORY, InUse, models_of
from cloud_trainer.run import Job, Run
from firmware_bridge.errors import Exit
from gateway.contract.forecast_spec import LOAD_SLOW
from gateway.contract.repository import organisation_channel
from tests.sim.recordings import write_regular
from tests.sim.site_series import rhythm
from tests.sim.training import training_report

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
# Twenty seconds on two cores that have nothing else to do.
ONCE_S_MAX = 300


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--channel", "Stable"], "channel = 'Stable': cannot be the name of a channel"),
        (["--organisation", "A B"], "--organisation = 'A B': is no name"),
        (["--keys", "{publish}/keys"], "lies in the folder that is published"),
        (["--homes", "0"], "--homes = 0"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(tmp_path, capsys, more, said):
    publish = tmp_path / "publish"
    more = [one.format(publish=publish) for one in more]
    assert main(["once", "--generated", "--publish", str(publish), *more]) == Exit.BAD_SETTING
    assert said in capsys.readouterr().err
    assert not publish.exists()


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed here")
def test_without_tensorflow_no_keys_are_made(tmp_path, capsys):
    assert main(["once", "--generated", "--publish", str(tmp_path / "publish")]) == Exit.BAD_SETTING
    assert "run `make setup-trainer`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def once(*arguments):
    command = [sys.executable, "-m", "cloud_trainer", "once", "--max-epochs", "3", "--seeds", "1", "--json"]
    command += ["--model", "load_prediction", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=ONCE_S_MAX)


@pytest.mark.tf
@pytest.mark.slow
def test_what_is_better_is_published_once_and_what_is_as_good_is_not(tmp_path):
    write_regular(tmp_path / "acme" / "shop.csv", days=56)
    where = ["--data", tmp_path, "--organisation", "acme", "--publish", tmp_path / "publish"]
    first = once(*where)
    assert first.returncode == Exit.OK, first.stderr
    told = json.loads(first.stdout)
    assert (told["published"], told["release"], told["channel"]) == (True, 1, organisation_channel("stable", "acme"))
    assert told["models"] == ["load_prediction_consumption_4x15min"]
    assert "energy_forecast_consumption_96x15min" in told["kept"], "of the factory's bundle: nobody trained another"
    assert f"keys made in {tmp_path / 'publish-keys'}" in first.stderr
    before = sorted(path.name for path in (tmp_path / "publish").rglob("*"))
    again = once(*where)
    assert again.returncode == Exit.OK, again.stderr
    told = json.loads(again.stdout)
    assert (told["published"], "is as good or better" in told["verdict"]) == (False, True)
    assert sorted(path.name for path in (tmp_path / "publish").rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("if_as_good", [False, True])
def test_what_says_the_same_replaces_nothing_unless_that_is_wanted(tmp_path, if_as_good):
    site = rhythm(40, LOAD_SLOW)
    models = models_of(FACTORY)
    done = Run(models, [], [], 0.0)
    trained = _Trained(Job(), Dataset("a recording", [site], [], []), done, training_report(), if_as_good)
    better, kept = _chosen(trained, FACTORY, InUse(FACTORY, "the factory's bundle"))
    measured = {"energy_forecast_consumption_96x15min", "load_prediction_consumption_4x15min"}
    assert {model.name for model in better} == (measured if if_as_good else set())
    assert {model.name for model in [*better, *kept]} == {model.name for model in models}
