"""A training from sites to proven models: plan, train, settle the form, replay, judge, report. A shell.

One model after the other, and nothing is kept of one but what ships and what is told of it: the windows of the
next one need the memory.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from cloud_trainer.artefact import settle
from cloud_trainer.backtest import Seen, replay
from cloud_trainer.bundle import BundledModel, ProofError, prove, write_bundle
from cloud_trainer.convert import ConversionError
from cloud_trainer.dataset import Dataset
from cloud_trainer.form import NoFormError, Wanted
from cloud_trainer.host import HostError
from cloud_trainer.machine import peak_bytes, software
from cloud_trainer.model_card import model_card
from cloud_trainer.plan import ModelPlan, planned
from cloud_trainer.run_report import figures, left_out_report, mean_skill, shipped_report
from cloud_trainer.train import TooLittleDataError, TrainConfig, split, train, usual_config
from cloud_trainer.training_report import ModelReport, TrainingReport
from firmware_bridge.clock import SystemClock
from gateway.contract.forecast_spec import ForecastKind
from gateway.contract.manifest import ForecastTarget, Training

Say = Callable[[str], None]

# A model was trained, and cannot be made to ship.
UNSHIPPABLE = (ConversionError, NoFormError, HostError, ProofError)
# What is kept from teaching to judge by: four weeks tell better from worse, and habits change in three months.
TEST_DAYS_MAX = 28.0
# Below this, on the part to judge by, the artefact does not ship, whatever was chosen by the part before it.
SKILL_MIN: dict[ForecastTarget, float] = {"consumption_w": 0.0, "production_w": 0.05}
# Figures have so many digits in a manifest.
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is wanted of a run."""

    kinds: Collection[ForecastKind] = ("energy_forecast", "load_prediction")
    seeds: tuple[int, ...] = (1, 2, 3)
    max_epochs: int = 100
    form: Wanted = "auto"
    draws: int = 0
    draws_s_max: float = 0.0
    with_lstm: bool = False
    # interpreters with our gateway, one for each runtime that must run what ships; the first judges
    pythons: Sequence[str] = (sys.executable,)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it: the models that ship, what is told of all, and why some do not ship."""

    models: list[BundledModel]
    reports: list[ModelReport]
    left_out: list[str]
    train_s: float


def run(job: Job, dataset: Dataset, say: Say) -> Run:
    """Train what the dataset allows.

    Raises:
        ConversionError, NoFormError, HostError: a model was trained and cannot be made to ship.
    """
    clock = SystemClock()
    started_s = clock.monotonic_s()
    plans, notes = planned(dataset.sites, job.kinds, dataset.fine_sites)
    left_out, models, reports = [*dataset.notes, *notes], [], []
    say(f"seeds {', '.join(map(str, job.seeds))}; {', '.join(f'{k} {v}' for k, v in software().items())}")
    for plan in plans:
        say(f"{plan.name}:")
        try:
            model, report, reason = made(job, plan, config_of(job, plan, models=len(plans)), say)
        except TooLittleDataError as error:
            model, report, reason = None, None, str(error)
        if report is not None:
            reports.append(report)
        if model is None:
            left_out.append(f"{plan.name} is left out: {reason}")
            say(f"  left out: {reason}")
        else:
            models.append(model)
        say(f"  {clock.monotonic_s() - started_s:.0f} s so far, peak memory {peak_bytes() / 1e6:.0f} MB")
    return Run(models, reports, left_out, clock.monotonic_s() - started_s)


def made(job: Job, plan: ModelPlan, config: TrainConfig, say: Say) -> tuple[BundledModel | None, ModelReport, str]:
    """One model, or none and the reason: trained, in the form that ships, replayed as a gateway shows it.

    Raises:
        TooLittleDataError: there is not enough to learn from, choose by and judge by.
        ConversionError, NoFormError, HostError: it was trained and cannot be made to ship.
    """
    trained = train(config, plan.sites, say)
    if trained.forecaster is None:
        return None, left_out_report(plan, trained, trained.reason), trained.reason
    say(f"  {trained.reason}")
    settled = settle(trained, wanted=job.form, pythons=job.pythons)
    say(f"  {settled.model.form_reason}")
    seen = replay(settled.model, trained.test, list(plan.sites))
    say(f"  through the production host: {_in_words(seen)}")
    report, least = shipped_report(plan, trained, settled, seen), SKILL_MIN[plan.target]
    skill = mean_skill(report)
    if not skill >= least:
        reason = f"on the part to judge by the skill of the artefact is {skill:.3f}, less than {least:g}"
        return None, left_out_report(plan, trained, reason), reason
    told = figures(seen.shown) | {"issues": seen.shown.issues, "sites": len(report.sites)}
    metrics = {name: round(value, _DIGITS) for name, value in told.items() if np.isfinite(value)}
    return replace(settled.model, metrics=metrics), report, ""


def config_of(job: Job, plan: ModelPlan, *, models: int = 1) -> TrainConfig:
    """How a model of the job is trained, where so many `models` share the time to search in."""
    usual = usual_config(plan.spec, plan.target)
    return replace(
        usual,
        seeds=job.seeds,
        test_days_max=TEST_DAYS_MAX,
        max_epochs=job.max_epochs,
        draws=job.draws,
        draws_s_max=job.draws_s_max / models,
        with_lstm=job.with_lstm,
        lstm_epochs_max=min(usual.lstm_epochs_max, job.max_epochs),
    )


def rehearsed(job: Job, dataset: Dataset) -> list[str]:
    """What a run would train on, without training: a line for each model."""
    plans, notes = planned(dataset.sites, job.kinds, dataset.fine_sites)
    lines = []
    for plan in plans:
        try:
            data = split(config_of(job, plan), plan.sites)
        except TooLittleDataError as error:
            lines.append(f"{plan.name} would be left out: {error}")
            continue
        lines.append(
            f"{plan.name}: {len(plan.sites)} sites; windows: {len(data.train)} to learn from, "
            f"{len(data.validation)} to choose by, {len(data.test)} to judge by"
        )
    return [*lines, *dataset.notes, *notes]


def training_report(done: Run, job: Job, dataset: Dataset, command: str, now_us: int) -> TrainingReport:
    """All that is told of the run."""
    return TrainingReport(
        command=command,
        created_us=now_us,
        data=dataset.words,
        seeds=list(job.seeds),
        software=software(),
        sites=dataset.reports,
        models=done.reports,
        train_s=done.train_s,
        peak_bytes=peak_bytes(),
        notes=done.left_out,
    )


def write(
    folder: Path,
    models: Sequence[BundledModel],
    report: TrainingReport,
    job: Job,
    dataset: Dataset,
    kept: Sequence[BundledModel] = (),
) -> str:
    """The bundle of these models in `folder`, proven in every runtime; its digest.

    Args:
        folder: new, or that of a bundle.
        models: of this run.
        report: of this run.
        job: what was wanted of it.
        dataset: what they were trained on.
        kept: models of an earlier bundle that go on in this one.

    Raises:
        ProofError: a runtime refuses it.
        SettingError: the folder holds something else.
    """
    shipped = [model.name for model in models]
    told = msgspec.structs.replace(report, models=[one for one in report.models if one.name in shipped])
    card = model_card(told)
    if kept:
        card += "\n## Kept\n\nOf the bundle before, for nothing better came: "
        card += ", ".join(model.name for model in kept) + ". Its own card tells of them.\n"
    training = Training(
        command=report.command,
        data=dataset.words,
        first_us=dataset.first_us,
        last_us=dataset.last_us,
        metrics={f"{model.name}.skill": model.metrics["skill"] for model in models if "skill" in model.metrics},
    )
    digest = write_bundle(folder, [*models, *kept], training, card, created_us=report.created_us)
    for python in job.pythons:
        prove(folder, python=python)
    return digest


def _in_words(seen: Seen) -> str:
    shown = seen.shown
    return (
        f"skill {seen.said.skill:.3f}, as a gateway shows it {shown.skill:.3f} against {shown.baseline}; "
        f"mean error {shown.mae_w:.0f} W, band holds {shown.coverage:.1%}"
    )
