"""A training report on the disk: report.md and its pictures for people, report.json for programs. A shell."""

from pathlib import Path

from cloud_trainer.training_report import TrainingReport, encode_report
from cloud_trainer.training_text import report_text

TEXT_NAME, FACTS_NAME = "report.md", "report.json"


def write_report(folder: Path, report: TrainingReport) -> None:
    """Write `report` into `folder`, over an older one. Pictures need matplotlib."""
    from cloud_trainer.training_pictures import candidates_picture, errors_picture, week_picture

    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, list[str]] = {}
    for model in report.models:
        drawn = {f"{model.name}_candidates.png": candidates_picture(model)}
        for number, samples in enumerate(model.samples, 1):
            drawn[f"{model.name}_{number}_week.png"] = week_picture(model, samples)
            drawn[f"{model.name}_{number}_errors.png"] = errors_picture(model, samples)
        for name, data in drawn.items():
            (folder / name).write_bytes(data)
        names[model.name] = list(drawn)
    (folder / TEXT_NAME).write_text(report_text(report, names), encoding="utf-8")
    (folder / FACTS_NAME).write_bytes(encode_report(report))
