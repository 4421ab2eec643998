"""Gateway and ingest killed over and over, at every step with a name and at random: nothing is lost or doubled.

`python -m tests.sim.kill_campaign` does the same at any length and tells its figures.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.sim.kill_campaign import PLANS

pytestmark = [pytest.mark.slow, pytest.mark.pg]

KILLS: Final = 300
NIGHTLY_KILLS: Final = 5_000
# Enough to see what a bad client does: a batch under way is met by several of the steps.
RED_KILLS: Final = 40
# A life takes a quarter of a second on two free cores; a busy machine gets ten times that.
S_PER_KILL_MAX = 3.0


def campaign(dsn: str, folder: Path, kills: int, client: str = "production") -> dict[str, Any]:
    """What came of it."""
    # A DSN is nobody else's business, and the threads of a mathematics library do not survive a fork.
    (folder / "dsn").write_text(dsn)
    command = [sys.executable, "-m", "tests.sim.kill_campaign", "--kills", str(kills), "--client", client]
    command += ["--folder", str(folder / "site"), "--dsn", f"@{folder / 'dsn'}"]
    done = subprocess.run(
        command,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60 + kills * S_PER_KILL_MAX,
        check=False,
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def assert_nothing_is_lost(dsn: str, folder: Path, kills: int) -> None:
    told = campaign(dsn, folder, kills)
    print(json.dumps(told))
    assert told["kills"] >= kills
    assert told["by_step"].keys() == {f"{whom} {step}" for whom, step in PLANS if whom != "both"}
    assert min(told["by_step"].values()) >= kills // (2 * len(PLANS))
    assert (told["lost"], told["duplicate"], told["different"]) == (0, 0, 0)
    assert told["kept"] > 10 * kills
    assert told["generations"] == told["generations_expected"], "killing begins no new generation"
    of_rollup, of_readings = told["rollup"]
    assert of_rollup == of_readings
    log = (folder / "site" / "log").read_text()
    assert "Traceback" not in log, log


def test_three_hundred_kills_lose_nothing_and_double_nothing(dsn: str, tmp_path: Path) -> None:
    assert_nothing_is_lost(dsn, tmp_path, KILLS)


@pytest.mark.nightly
def test_five_thousand_kills_lose_nothing_and_double_nothing(dsn: str, tmp_path: Path) -> None:
    assert_nothing_is_lost(dsn, tmp_path, NIGHTLY_KILLS)


@pytest.mark.parametrize(("client", "fault"), [("hasty", "lost"), ("restless", "duplicate")])
def test_the_campaign_sees_what_it_is_there_to_see(dsn: str, tmp_path: Path, client: str, fault: str) -> None:
    assert campaign(dsn, tmp_path, RED_KILLS, client)[fault] > 0
