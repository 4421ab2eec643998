"""A training report as Markdown: what a person reads first. Pure."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import fmean, stdev

from cloud_trainer.finding import Finding
from cloud_trainer.form import FormTrial
from cloud_trainer.training_report import Candidate, ModelReport, SiteReport, TrainingReport
from gateway.contract.forecast_spec import DAY_US, MINUTE_US
from gateway.core.scores import Scores

Row = Sequence[str]


def report_text(report: TrainingReport, pictures: dict[str, list[str]]) -> str:
    """`report.md`; `pictures` names the files drawn for each model, beside it."""
    parts = [_head(report), _in_short(report), _data(report.sites)]
    parts += [_model(model, pictures.get(model.name, [])) for model in report.models]
    return "\n\n".join([*parts, *_notes(report.notes)]) + "\n"


def candidates_table(model: ModelReport) -> str:
    """Everybody who competed on the test part, best first, then the yardsticks; mean over seeds, ± their spread."""
    order = {"candidate": 0, "benchmark": 1, "baseline": 2}
    ranked = sorted(model.candidates, key=lambda one: (order[one.role], _rank(one)))
    head = ("", "MAE W", "RMSE W", "R2", "skill", "pinball sd", "coverage", "beaten", "weights", "kB", "trained s")
    return table(head, [_candidate_row(model, one) for one in ranked])


def what_it_forecasts(model: ModelReport) -> str:
    """One sentence."""
    target = {"consumption_w": "consumption", "production_w": "solar production"}[model.target]
    minutes = model.step_us // MINUTE_US
    peak = ", and the highest of them" if model.kind == "load_prediction" else ""
    levels = ", ".join(f"{level:.0%}" for level in model.quantiles)
    return (
        f"The average power of a site's {target} in each of the next {model.horizon_steps} steps of {minutes} min"
        f"{peak}, as its {levels} quantiles."
    )


def table(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def cell(text: str) -> str:
    """Foreign text in a table: one line, no bars."""
    return " ".join(text.split()).replace("|", "\\|")


def day(at_us: int) -> str:
    """The date, UTC."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).date().isoformat()


def number(value: float | None, digits: int = 3) -> str:
    """`digits` significant, without exponents; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0) if value else 0
    return f"{value:,.{decimals}f}"


def _head(report: TrainingReport) -> str:
    software = ", ".join(f"{name} {version}" for name, version in report.software.items())
    seeds = ", ".join(str(seed) for seed in report.seeds)
    return (
        f"# Training report, {day(report.created_us)}\n\n"
        f"`{report.command}`\n\n"
        f"{cell(report.data)}. Seeds {seeds}; {software}. "
        f"It took {report.train_s / 60:.1f} min and {report.peak_bytes / 1e6:.0f} MB of memory at its peak."
    )


def _in_short(report: TrainingReport) -> str:
    rows = []
    for model in report.models:
        chosen = next((one for one in model.candidates if one.name == model.chosen), None)
        scores = [one.scores for one in chosen.seeds] if chosen else []
        rows.append(
            (
                model.name,
                cell(model.chosen),
                _spread(scores, lambda one: one.skill, 3),
                _spread(scores, lambda one: one.mae_w, 3),
                _spread(scores, lambda one: one.coverage, 3),
                model.form or "–",
                number(model.bytes / 1000),
            )
        )
    head = ("model", "chosen", "skill", "MAE W", "coverage", "form", "kB")
    remark = (
        "Skill is 1 - error / error of the better naive forecast: 0 is no better, 1 is perfect. All figures are of "
        "the test part, which nothing was chosen by; the files that ship said it, in the production host."
    )
    return f"## In short\n\n{table(head, rows)}\n\n{remark}"


def _data(sites: Sequence[SiteReport]) -> str:
    rows = []
    for site in sites:
        found = "; ".join(_finding(one) for one in site.findings) or "nothing"
        rows.append(
            (
                cell(site.name),
                cell(site.organisation),
                cell(site.zone),
                f"{day(site.start_us)} to {day(site.end_us)}",
                number((site.end_us - site.start_us) / DAY_US),
                f"{site.step_us / MINUTE_US:g}",
                ", ".join(target.removesuffix("_w") for target in site.targets),
                "yes" if site.is_used else "no",
                cell(found),
            )
        )
    head = ("site", "organisation", "zone", "from", "days", "step min", "targets", "used", "checks found")
    return f"## Data\n\n{table(head, rows)}\n\nWhat a check calls an error keeps a site out of training."


def _finding(one: Finding) -> str:
    target = f" ({one.target.removesuffix('_w')})" if one.target else ""
    return f"{one.severity} {one.check}{target}: {one.found}"


def _model(model: ModelReport, pictures: Sequence[str]) -> str:
    parts = [f"## {model.name}", what_it_forecasts(model), _split(model)]
    parts += ["### Candidates", candidates_table(model), _legend(model)]
    blend = ", ".join(f"{cell(name)} {weight:g}" for name, weight in model.blend_weights.items())
    parts += [
        f"**Chosen: {cell(model.chosen)}.** {cell(model.chosen_reason)}" + (f" Weights: {blend}." if blend else "")
    ]
    if model.form is not None:
        parts += ["### Form", table(("form", "kB", "pinball", "worst difference to Keras", "verdict"), _forms(model))]
        parts += [f"**Chosen: {model.form}.** {cell(model.form_reason)}."]
    if model.sites:
        parts += ["### Sites", _sites(model)]
    parts += [f"![{picture}]({picture})" for picture in pictures]
    return "\n\n".join(parts)


def _split(model: ModelReport) -> str:
    rows = [(name, day(part.first_us), day(part.last_us), f"{part.windows:,}") for name, part in model.parts.items()]
    return table(("part", "first issued", "last issued", "windows"), rows)


def _legend(model: ModelReport) -> str:
    return (
        f"Pinball loss is in standard deviations of the training part ({number(model.train_sd_w)} W); coverage is of "
        f"the {model.quantiles[0]:.0%} to 90% band, before calibration on the device; *beaten* is the share of "
        "resampled test parts (whole days drawn with replacement) in which the chosen one was better."
    )


def _candidate_row(model: ModelReport, one: Candidate) -> Row:
    scores = [seed.scores for seed in one.seeds]
    name = cell(one.name) + (f" ({cell(one.remark)})" if one.remark else "")
    return (
        f"**{name}**" if one.name == model.chosen else name,
        _spread(scores, lambda score: score.mae_w, 4),
        _spread(scores, lambda score: score.rmse_w, 4),
        _spread(scores, lambda score: score.r2, 3),
        _spread(scores, lambda score: score.skill, 3),
        _spread(scores, lambda score: score.pinball_sd, 3),
        _spread(scores, lambda score: score.coverage, 3),
        "–" if one.beaten_share is None else f"{one.beaten_share:.0%}",
        "–" if one.parameters is None else f"{one.parameters:,}",
        number(None if one.bytes is None else one.bytes / 1000),
        number(one.train_s),
    )


def _forms(model: ModelReport) -> list[Row]:
    return [_form_row(trial, model) for trial in model.forms]


def _form_row(trial: FormTrial, model: ModelReport) -> Row:
    verdict = cell(trial.problem) or ("**chosen**" if trial.form == model.form else "runs")
    kilobytes = None if trial.bytes is None else trial.bytes / 1000
    return (trial.form, number(kilobytes, 4), number(trial.pinball, 4), number(trial.worst_difference, 2), verdict)


def _sites(model: ModelReport) -> str:
    """Skill of each candidate on each site."""
    names = [one.name for one in model.candidates if any(one.name in site.scores for site in model.sites)]
    rows = [
        (cell(site.site), *(number(site.scores[name].skill) if name in site.scores else "–" for name in names))
        for site in model.sites
    ]
    return table(("skill on", *(cell(name) for name in names)), rows)


def _spread(scores: Sequence[Scores], pick: Callable[[Scores], float], digits: int) -> str:
    """The mean over seeds, and their standard deviation where there are several."""
    values = [pick(one) for one in scores]
    if not values or not all(math.isfinite(one) for one in values):
        return "–"
    mean = number(fmean(values), digits)
    decimals = len(mean.partition(".")[2])
    return mean if len(values) == 1 else f"{mean} ± {stdev(values):.{decimals}f}"


def _rank(one: Candidate) -> float:
    return fmean([seed.scores.pinball_w for seed in one.seeds]) if one.seeds else math.inf


def _notes(notes: Sequence[str]) -> list[str]:
    return ["## Notes", "\n".join(f"- {cell(note)}" for note in notes)] if notes else []
