import importlib.util
import json
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit, SettingError
from provisioning.__main__ import main
from provisioning.demo.command import _tell, demo_command
from provisioning.demo.run import Outcome
from provisioning.demo.verdict import Check

CHECKS = [Check("cloud", True, "1901 records"), Check("values", False, "3 mismatches")]


@pytest.mark.parametrize("wrong", [["--seconds", "1"], ["--seconds", "soon"], ["--second", "60"]])
def test_a_wrong_option_is_a_users_mistake(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["demo", *wrong]) == Exit.BAD_SETTING
    said = capsys.readouterr()
    assert wrong[0] in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_what_is_replayed_is_not_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "shop.csv").write_text("time,power\n")
    arguments = ["--folder", str(tmp_path / "demo"), "--train", "--replay", str(tmp_path / "shop.csv")]
    assert main(["demo", *arguments]) == Exit.BAD_SETTING
    assert "would be known to the model before it is replayed" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed here")
def test_training_without_tensorflow_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--folder", str(tmp_path / "demo"), "--train"]) == Exit.BAD_SETTING
    assert "use `make demo TRAIN=1`" in capsys.readouterr().err


def test_a_folder_that_is_not_ours_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "photo.jpg").write_bytes(b"us")
    assert main(["demo", "--folder", str(tmp_path), "--seconds", "20"]) == Exit.BAD_SETTING
    said = capsys.readouterr().err
    assert said.startswith(f"smartwatts-provision: --folder = {tmp_path}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("", "time"),
        ("time,power\n", "rows"),
        ("time,power\n2026-03-01T00:00,1\n2026-03-01T00:07,1\n2026-03-01T00:15,1\n", "cadence"),
    ],
)
def test_a_recording_that_cannot_be_replayed_ends_in_one_sentence(
    tmp_path: Path, csv: str, said: str, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "shop.csv").write_text(csv)
    (tmp_path / "shop.map.toml").write_text(
        'source = "made for a test"\ncadence_s = 900\nrated_power_w = 20000\n'
        '[time]\ncolumn = "time"\nstamps = "start"\n[value]\ncolumn = "power"\nunit = "W"\n'
    )
    arguments = ["--folder", str(tmp_path / "demo"), "--seconds", "20", "--replay", str(tmp_path / "shop.csv")]
    assert main(["demo", *arguments]) == Exit.BAD_SETTING
    told = capsys.readouterr().err
    assert told.startswith("smartwatts-provision: ")
    assert told.count("\n") == 1
    assert said in told


def test_the_verdict_is_a_table_for_people(capsys: pytest.CaptureFixture[str]):
    _tell(Outcome(CHECKS, None), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ok    cloud         1901 records",
        "FAIL  values        3 mismatches",
    ]


def test_the_verdict_is_json_for_programs(capsys: pytest.CaptureFixture[str]):
    _tell(Outcome(CHECKS, [{"pairs": 3}]), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["score"] == [{"pairs": 3}]
    assert told["checks"][1] == {"station": "values", "is_ok": False, "shown": "3 mismatches"}


def test_a_score_is_told_in_words_and_its_absence_too(capsys: pytest.CaptureFixture[str]):
    score = {
        "kind": "energy_forecast",
        "baseline": "seasonal_naive",
        "pairs": 1200,
        "model_mae_w": 65_447.2,
        "baseline_mae_w": 85_980.7,
    }
    _tell(Outcome(CHECKS, [score]), as_json=False)
    said = capsys.readouterr().out.splitlines()[-1]
    assert "1200 forecast steps of energy forecast stored before their time" in said
    assert "model 65447 W, of seasonal-naive 85981 W" in said
    _tell(Outcome(CHECKS, []), as_json=False)
    assert "from day 8 on" in capsys.readouterr().out.splitlines()[-1]


def test_a_map_without_a_recording_is_refused():
    with pytest.raises(SettingError, match=r"--map = site\.toml: maps nothing without --replay"):
        demo_command.main(["--map", "site.toml"], standalone_mode=False)
