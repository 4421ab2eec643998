import importlib.util
import subprocess
import sys

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from gateway.contract.manifest import MANIFEST_NAME, decode_manifest

# A tiny run takes 10 s on two cores; a hang is far above.
TRAIN_S_MAX = 120


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--homes", "1"], "--homes = 1: is not within 8 to 2000"),
        (["--days", "7"], "--days = 7: is not within 21 to 730"),
        (["--seed", "-1"], "--seed = -1"),
    ],
)
def test_a_setting_out_of_range_is_one_sentence(tmp_path, capsys, arguments, said):
    assert main(["train", *arguments, "--out", str(tmp_path)]) == Exit.BAD_SETTING
    assert said in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "diary.txt").write_text("dear")
    assert main(["train", "--out", str(tmp_path)]) == Exit.BAD_SETTING
    assert "diary.txt, which is no part of a bundle" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed here")
def test_without_tensorflow_the_next_step_is_named(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "bundle")]) == Exit.BAD_SETTING
    assert "run `make setup-trainer`" in capsys.readouterr().err


@pytest.mark.tf
def test_a_tiny_run_ends_in_a_bundle_that_the_gateway_accepts(tmp_path):
    command = ["train", "--quick", "--homes", "8", "--days", "21", "--seed", "5", "--out", str(tmp_path / "bundle")]
    ended = subprocess.run(
        [sys.executable, "-m", "cloud_trainer", *command],
        capture_output=True,
        text=True,
        timeout=TRAIN_S_MAX,
    )
    assert ended.returncode == Exit.OK, ended.stderr
    assert "accepted on 200 golden vectors" in ended.stdout
    manifest = decode_manifest((tmp_path / "bundle" / MANIFEST_NAME).read_bytes())
    assert manifest.release == 0
    assert manifest.training.command.startswith("smartwatts-trainer train --homes 8 --days 21 --seed 5")
    accepted = subprocess.run([sys.executable, "-m", "gateway", "accept", str(tmp_path / "bundle")], timeout=60)
    assert accepted.returncode == Exit.OK
