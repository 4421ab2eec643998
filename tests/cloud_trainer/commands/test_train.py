import importlib.util
import json
import subprocess
import sys

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from gateway.contract.manifest import MANIFEST_NAME, decode_manifest
from tests.sim.recordings import write_home

# A tiny run takes 40 s on two cores that have nothing else to do; a hang is far above.
TRAIN_S_MAX = 300
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--data = (not given): which data is it about; give one of --data PATH and --dsn DSN"),
        (["--generated", "--data", "x"], "--data = two of them"),
        (["--generated", "--homes", "0"], "--homes = 0: is not within 1 to 2000"),
        (["--generated", "--days", "7"], "--days = 7: is not within 28 to 730"),
        (["--generated", "--min-days", "few"], "--min-days = 'few': is no number of days"),
        (["--generated", "--accept", "all"], "--accept = 'all': is no check"),
        (["--generated", "--seed", "-1"], "--seed = -1"),
        (["--generated", "--seeds", "0"], "--seeds = 0"),
        (["--generated", "--max-epochs", "0"], "--max-epochs = 0"),
        (["--generated", "--search", "-1"], "--search = -1"),
        (["--generated", "--search-minutes", "0"], "--search-minutes = 0"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(tmp_path, capsys, arguments, said):
    assert main(["train", *arguments, "--out", str(tmp_path / "bundle")]) == Exit.BAD_SETTING
    assert said in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "diary.txt").write_text("dear")
    assert main(["train", "--generated", "--out", str(tmp_path)]) == Exit.BAD_SETTING
    assert "diary.txt, which is no part of a bundle" in capsys.readouterr().err
    assert main(["train", "--generated"]) == Exit.BAD_SETTING
    assert "--out = (not given)" in capsys.readouterr().err


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed here")
def test_without_tensorflow_the_next_step_is_named(tmp_path, capsys):
    assert main(["train", "--generated", "--out", str(tmp_path / "bundle")]) == Exit.BAD_SETTING
    assert "run `make setup-trainer`" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rehearsal_tells_what_is_left_out_and_how_large_the_parts_are(tmp_path, capsys):
    write_home(tmp_path / "acme" / "shop.csv", days=42)
    write_home(tmp_path / "acme" / "young.csv", days=5)
    assert main(["train", "--data", str(tmp_path), "--dry-run", "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert [(one["site"], one["is_trained"]) for one in told["sites"]] == [("shop", True), ("young", False)]
    assert told["sites"][1]["findings"][0]["check"] == "too_short"
    energy, solar, slow, fine = told["models"]
    assert energy.startswith("energy_forecast_consumption_96x15min: 1 sites; windows: ")
    assert solar.startswith("energy_forecast_production_96x15min: 1 sites; windows: ")
    assert slow.startswith("load_prediction_consumption_4x15min: 1 sites")
    assert fine == "load_prediction_consumption_12x5min is left out: shop (15 min), whose steps make no 5 min"


@pytest.mark.slow
def test_a_rehearsal_of_one_kind_of_one_organisation(tmp_path, capsys):
    write_home(tmp_path / "acme" / "shop.csv", days=42)
    write_home(tmp_path / "other" / "mill.csv", days=42)
    command = ["train", "--data", str(tmp_path), "--dry-run", "--organisation", "acme", "--model", "energy_forecast"]
    assert main(command) == Exit.OK
    said = capsys.readouterr()
    assert "load_prediction" not in said.out
    assert "acme/shop: 42 days, trained" in said.err
    assert "mill" not in said.err


def test_data_that_nothing_can_be_learnt_from_ends_with_its_checks_named(tmp_path, capsys):
    write_home(tmp_path / "short.csv", days=2)
    assert main(["train", "--data", str(tmp_path), "--dry-run"]) == Exit.BAD_SETTING
    assert "none can be trained: short (too_short)" in capsys.readouterr().err


@pytest.mark.tf
@pytest.mark.slow
def test_a_tiny_run_ends_in_a_bundle_and_a_report_that_tell_nothing_of_whose_data_it_was(tmp_path):
    write_home(tmp_path / "acme" / "secret-shop.csv", days=42)
    command = ["train", "--data", str(tmp_path / "acme"), "--model", "load_prediction", "--max-epochs", "3"]
    command += [
        "--seeds",
        "1",
        "--seed",
        "5",
        "--report",
        str(tmp_path / "report"),
        "--out",
        str(tmp_path / "bundle"),
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "cloud_trainer", *command, "--json"],
        capture_output=True,
        text=True,
        timeout=TRAIN_S_MAX,
    )
    assert ended.returncode == Exit.OK, ended.stderr
    told = json.loads(ended.stdout)
    assert told["models"] == ["load_prediction_consumption_4x15min"]
    assert "load_prediction_consumption_12x5min is left out" in told["left_out"][0]
    for word in ("seeds 5", "windows: ", "through the production host: skill", "peak memory"):
        assert word in ended.stderr
    manifest = decode_manifest((tmp_path / "bundle" / MANIFEST_NAME).read_bytes())
    assert manifest.training.command == (
        "smartwatts-trainer train --seed 5 --seeds 1 --max-epochs 3 --form auto --model load_prediction --data ..."
    )
    assert manifest.models[0].metrics["skill"] > 0
    assert not any(b"secret-shop" in path.read_bytes() for path in (tmp_path / "bundle").iterdir())
    assert (tmp_path / "report" / "report.md").read_text().count("secret-shop") > 1
    accepted = subprocess.run([sys.executable, "-m", "gateway", "accept", str(tmp_path / "bundle")], timeout=60)
    assert accepted.returncode == Exit.OK
