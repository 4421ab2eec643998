"""From recordings to a model of one's own: a home is learnt, and its gateway forecasts with what was learnt."""

import json
import subprocess
import sys

import pytest

from gateway.contract.manifest import MANIFEST_NAME, decode_manifest

pytestmark = [pytest.mark.tf, pytest.mark.slow, pytest.mark.pg]

SECONDS = 30
# Training takes a minute on two cores that have nothing else to do.
RUN_S_MAX = 600
DEMO = (sys.executable, "-m", "provisioning", "demo", "--train", "--json")


def test_what_is_learnt_of_a_home_is_published_fetched_and_scored_where_it_runs(tmp_path):
    """The weeks before it begins are trained on by `once`; the rest is the demonstration as it always is."""
    folder = tmp_path / "demo"
    done = subprocess.run(
        [*DEMO, "--folder", folder, "--seconds", str(SECONDS)],
        capture_output=True,
        timeout=RUN_S_MAX,
        check=False,
        text=True,
    )
    assert done.stdout, done.stderr
    verdict = json.loads(done.stdout)
    assert [check for check in verdict["checks"] if not check["is_ok"]] == [], done.stderr
    assert done.returncode == 0
    manifest = decode_manifest((folder / "bundle" / MANIFEST_NAME).read_bytes())
    assert manifest.training.command.startswith("smartwatts-trainer once ")
    trained = {name.removesuffix(".skill") for name in manifest.training.metrics}
    assert "load_prediction_consumption_12x5min" in trained, "it was not taken over from the factory's bundle"
    scored = {(one["kind"], one["target"]) for one in verdict["score"] if one["pairs"] > 0}
    assert {("energy_forecast", "consumption_w"), ("load_prediction", "consumption_w")} <= scored
    decisions = next(check["shown"] for check in verdict["checks"] if check["station"] == "decisions")
    assert "0 on release 1" not in decisions.split(", ")
    assert not any("demo" in path.read_text(errors="replace") for path in (folder / "bundle").glob("*.md"))
