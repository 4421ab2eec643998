import json
import shutil

import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.bundle import write_bundle
from cloud_trainer.commands.compare import shown
from cloud_trainer.trial import Duel, ModelDuel
from firmware_bridge.errors import Exit
from gateway.contract.manifest import Training
from tests.sim.bundled import FACTORY, NAME, bundled
from tests.sim.recordings import write_home


@pytest.mark.slow
def test_a_bundle_without_a_model_is_compared_by_what_speaks_in_its_place(tmp_path, capsys):
    home = write_home(tmp_path / "home.csv", days=42)
    few = tmp_path / "few"
    write_bundle(few, [bundled()], Training("", "", 0, 0, {}), "A card.\n", created_us=0)
    command = ["compare", "--data", str(home), "--accept", "too_short"]
    assert main([*command, str(few), str(FACTORY), "--json"]) in (Exit.OK, Exit.FAILED)
    told = json.loads(capsys.readouterr().out)
    of = {one["model"]: one for one in told["models"]}
    assert (of[NAME]["a_mae_w"], of[NAME]["a_better_share"]) == (of[NAME]["b_mae_w"], 0.0)
    assert len(of) == 3
    shutil.copytree(few, tmp_path / "same")
    assert main([*command, str(few), str(tmp_path / "same")]) == Exit.FAILED
    assert "neither is better beyond chance" in capsys.readouterr().out


def test_a_folder_without_a_bundle_is_named_before_anything_is_read(tmp_path, capsys):
    assert main(["compare", str(FACTORY), str(tmp_path), "--data", "nowhere"]) == Exit.NOT_FOUND
    assert f"bundle = {tmp_path}: cannot be read" in capsys.readouterr().err


def test_the_table_says_who_is_better_and_how_sure_that_is():
    found = Duel([ModelDuel("load", 300, 210.0, 190.0, 70.0, 60.0, 0.01, 0.99)], "b")
    lines = shown(found).splitlines()
    assert lines[1].split() == ["load", "300", "210.0", "W", "190.0", "W", "70.0", "W", "60.0", "W", "1%", "99%"]
    assert lines[2].startswith("B is better")
