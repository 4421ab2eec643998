import re

import msgspec
import pytest

from cloud_trainer.report_folder import write_report
from tests.sim.training import training_report


@pytest.mark.slow
def test_a_report_is_text_pictures_and_facts_and_replaces_an_older_one(tmp_path):
    report = training_report()
    folder = tmp_path / "reports" / "one"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text("# An older one\n" * 1000)
    write_report(folder, report)
    text = (folder / "report.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^)]+\.png)\)", text))
    assert "older" not in text
    assert named == {path.name for path in folder.glob("*.png")}
    assert len(named) == 6
    facts = msgspec.json.decode((folder / "report.json").read_bytes())
    assert [model["name"] for model in facts["models"]] == [model.name for model in report.models]
