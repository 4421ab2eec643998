"""The main job, from the wire to PostgreSQL and back, as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.demo.site import DAY_S, POLL_S, RATE

pytestmark = [pytest.mark.slow, pytest.mark.pg]

STEEL = "steel_industry_15min.csv.gz"


def demo(folder: Path, seconds: int, *more: str) -> tuple[int, dict]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "provisioning",
            "demo",
            "--folder",
            folder,
            "--seconds",
            str(seconds),
            "--json",
            *more,
        ],
        capture_output=True,
        timeout=seconds + 240,
        check=False,
        text=True,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def recording() -> Path:
    folder = os.environ.get("DATA")
    if folder is None:
        pytest.skip("needs recorded data: set DATA to the folder that holds them")
    path = Path(folder) / STEEL
    if not path.exists():
        pytest.skip(f"needs {STEEL} in the folder DATA")
    return path


def test_every_station_does_its_work(tmp_path):
    parent = tmp_path / "a folder with a space"
    parent.mkdir(mode=0o700)
    before = {path: path.stat().st_mode for path in (tmp_path.parent, tmp_path, parent)}
    code, verdict = demo(parent / "demo", 40)
    assert [check for check in verdict["checks"] if not check["is_ok"]] == []
    assert code == 0
    assert {path: path.stat().st_mode for path in before} == before
    assert [entry.name for entry in parent.iterdir()] == ["demo"]


@pytest.mark.data
@pytest.mark.nightly
def test_two_recorded_weeks_arrive_value_by_value_and_are_forecast_better_than_by_last_week(tmp_path):
    code, verdict = demo(tmp_path / "demo", 180, "--replay", str(recording()))
    assert [check for check in verdict["checks"] if not check["is_ok"]] == []
    assert code == 0
    scores = {(score["kind"], score["baseline"]): score for score in verdict["score"]}
    assert scores["energy_forecast", "seasonal_naive"]["pairs"] > 0
    assert 180 * RATE / DAY_S > 14
    assert POLL_S == 60


@pytest.mark.data
def test_a_recorded_day_arrives_value_by_value(tmp_path):
    code, verdict = demo(tmp_path / "demo", 20, "--replay", str(recording()))
    assert [check for check in verdict["checks"] if not check["is_ok"]] == []
    assert code == 0
