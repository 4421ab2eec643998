"""The model card: what people must know of the forecasters of a bundle before they trust them. Pure."""

from collections import Counter

from cloud_trainer.finding import CHECKS
from cloud_trainer.training_report import Candidate, ModelReport, TrainingReport
from cloud_trainer.training_text import candidates_table, cell, day, number, table, what_it_forecasts
from gateway.contract.forecast_spec import HISTORY_DAYS, MINUTE_US

_CARD = """\
# Model card

{count} made on {created} for gateways of SmartWatts Edge. Each is one TensorFlow Lite file; the gateway runs it
beside naive forecasts, and lets whichever has been better of late speak.

{models}

## Data

{data}. {sites}

{checks}

Targets are average powers of steps, as meters measured them; what was missing stays missing. Nothing was
recorded for this purpose, and no reading travels in the bundle but a few windows, scaled, as golden vectors.

## How they were made

Inputs are the last {history} days, scaled by their own spread, with lags by local time and a calendar
(`gateway/contract/inputs.py`); no weather, no prices. Several candidates are trained on the first part of the time
with seeds {seeds}; one is chosen by the second part, and all are judged by the last, with a gap of a horizon between
them. Quantiles are learnt by the pinball loss. The form of the weights is chosen by the rule in
`cloud_trainer/form.py`.

## What they are not for

- They know neither weather nor holidays nor prices, and cannot foresee an outage of the grid.
- On a site unlike those above they can be worse than a naive forecast. A gateway keeps the score: model and best
  naive forecast speak in shares by their errors of the last two weeks.
- Quantiles are right on average over the test part, not for each hour of each site. A gateway widens or narrows them
  by what it sees (rolling calibration); weights never change there.
- An int8 file saturates beyond the range of the windows it was converted with.
- A site that has just been switched on has no history: for its first day nothing here speaks.

## How to make them again

    {command}

The same data, seeds and versions on the same kind of processor give the same bytes; it took {minutes:.1f} min and
{megabytes:.0f} MB. Versions: {software}.
"""

_MODEL = """\
## {name}

{what} Units inside are the site's own spread; the gateway gives watts.

- **Chosen**: {chosen}: {reason}.
- **File**: {form_reason}.
- **Judged by**: {first} to {last}, {windows:,} forecasts that nothing was chosen by.
- **Calibration**: {calibration}

{candidates}

Skill is 1 - error / error of the better naive forecast: 0 is no better. Pinball loss is in standard deviations of the
training part; *beaten*: in how many of the resampled test parts the chosen one was better."""


def model_card(report: TrainingReport) -> str:
    """The card of a bundle with the models of `report`, Markdown."""
    used = [site for site in report.sites if site.is_used]
    first_us = min((site.start_us for site in used), default=0)
    end_us = max((site.end_us for site in used), default=0)
    others = "" if len(used) == len(report.sites) else " (a check keeps the others out)"
    return _CARD.format(
        count=f"{len(report.models)} forecasters" if len(report.models) != 1 else "One forecaster",
        created=day(report.created_us),
        models="\n\n".join(_model(model) for model in report.models),
        data=cell(report.data),
        sites=f"Used: {len(used)} of {len(report.sites)} sites{others}, {day(first_us)} to {day(end_us)}.",
        checks=_checks(report),
        history=HISTORY_DAYS,
        seeds=", ".join(str(seed) for seed in report.seeds),
        command=report.command,
        software=", ".join(f"{name} {version}" for name, version in report.software.items()),
        minutes=report.train_s / 60,
        megabytes=report.peak_bytes / 1e6,
    )


def _model(model: ModelReport) -> str:
    test = model.parts["test"]
    return _MODEL.format(
        name=model.name,
        what=what_it_forecasts(model),
        chosen=cell(model.chosen),
        reason=cell(model.chosen_reason),
        form_reason=cell(model.form_reason),
        first=day(test.first_us),
        last=day(test.last_us),
        windows=test.windows,
        calibration=_calibration(model),
        candidates=candidates_table(model),
    )


def _calibration(model: ModelReport) -> str:
    """How often the actual was within the band: as trained, and as a gateway would say it."""
    chosen = next((one for one in model.candidates if one.name == model.chosen), None)
    as_trained = _mean_coverage(chosen) if chosen else None
    said = f"the {model.quantiles[0]:.0%} to 90% band holds {number(as_trained)} of what came"
    high = model.quantiles.index(0.9)
    lines = [one.observed_calibrated for one in model.samples if one.observed_calibrated is not None]
    if not lines:
        return f"{said}, as trained."
    held = [line[high] - line[0] for line in lines]
    return f"{said}, as trained; {number(sum(held) / len(held))} after rolling calibration."


def _mean_coverage(candidate: Candidate) -> float | None:
    shares = [seed.scores.coverage for seed in candidate.seeds]
    return sum(shares) / len(shares) if shares else None


def _checks(report: TrainingReport) -> str:
    """What the checks found, and at how many sites."""
    steps = ", ".join(f"{one:g}" for one in sorted({site.step_us / MINUTE_US for site in report.sites}))
    found = Counter((one.check, one.severity) for site in report.sites for one in site.findings)
    said = f"Steps of {steps} min; each site was put to {len(CHECKS)} named checks"
    if not found:
        return f"{said}, which found nothing."
    rows = [(check, severity, str(count)) for (check, severity), count in sorted(found.items())]
    return f"{said}:\n\n{table(('check', 'severity', 'times'), rows)}"
