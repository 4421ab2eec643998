"""What a training run has to tell: which data, which candidates, how good, what was chosen and why. Pure.

One structure, filled by whoever trains. `report_folder` makes of it what a person reads and what a program
reads; both say the same. Powers and errors are in W, instants in microseconds UTC.
"""

from typing import Literal

import msgspec

from cloud_trainer.finding import Finding
from cloud_trainer.form import FormTrial
from gateway.contract.forecast_spec import ForecastKind
from gateway.contract.manifest import ForecastTarget, Form
from gateway.core.scores import Scores


class SiteReport(msgspec.Struct, frozen=True):
    """One site of the data: from when to when, whether it could be used, and what checks found."""

    name: str
    organisation: str
    zone: str
    start_us: int
    end_us: int
    step_us: int
    targets: list[ForecastTarget]
    is_used: bool
    findings: list[Finding]


class Part(msgspec.Struct, frozen=True):
    """One part of the data, split by time: issue instants from `first_us` to `last_us`."""

    first_us: int
    last_us: int
    windows: int


class SeedScores(msgspec.Struct, frozen=True):
    """How good a candidate was on the test part; `seed` is None for what has no chance in it."""

    seed: int | None
    scores: Scores


class Candidate(msgspec.Struct, frozen=True):
    """One that competed, or a yardstick. Everybody stays in the report, losers too.

    `beaten_share` is the share of bootstrap draws over whole days in which the chosen one was better.
    """

    name: str
    seeds: list[SeedScores]
    role: Literal["candidate", "baseline", "benchmark"] = "candidate"
    parameters: int | None = None
    bytes: int | None = None
    train_s: float | None = None
    beaten_share: float | None = None
    remark: str = ""


class SiteScores(msgspec.Struct, frozen=True):
    """How good each candidate was on one site, by its name; mean over seeds."""

    site: str
    scores: dict[str, Scores]


class Week(msgspec.Struct, frozen=True):
    """A typical week of the test part as it was forecast: one step after the other, each at the lead it had.

    NaN where nothing was forecast or measured.
    """

    start_us: list[int]
    actual_w: list[float]
    baseline_w: list[float]
    quantiles_w: list[list[float]]  # [quantile][step]


class Errors(msgspec.Struct, frozen=True):
    """Mean absolute error and mean error (forecast - actual) of the median, and those of the baseline, W."""

    mae_w: list[float]
    bias_w: list[float]
    baseline_mae_w: list[float]


class Samples(msgspec.Struct, frozen=True):
    """What the pictures of one site are drawn from."""

    site: str
    zone: str
    baseline: str
    week: Week
    by_lead: Errors  # [horizon_steps]
    by_hour: Errors  # [24], of local time
    observed: list[float]  # [quantile], share of actuals below each
    # the same after the rolling calibration that a gateway runs; None where it was not replayed
    observed_calibrated: list[float] | None = None


class ModelReport(msgspec.Struct, frozen=True):
    """One model: what competed to be it, what was chosen and why, in which form, and how good it is."""

    name: str
    kind: ForecastKind
    target: ForecastTarget
    step_us: int
    horizon_steps: int
    quantiles: list[float]
    train_sd_w: float
    parts: dict[str, Part]  # "train", "validation", "test"
    candidates: list[Candidate]
    chosen: str
    chosen_reason: str
    blend_weights: dict[str, float]
    # None: nothing ships, and naive forecasts speak
    form: Form | None
    form_reason: str
    bytes: int
    forms: list[FormTrial]
    sites: list[SiteScores]
    samples: list[Samples]


class TrainingReport(msgspec.Struct, frozen=True):
    """The whole run."""

    command: str
    created_us: int
    data: str
    seeds: list[int]
    software: dict[str, str]
    sites: list[SiteReport]
    models: list[ModelReport]
    train_s: float
    peak_bytes: int
    notes: list[str] = []


def encode_report(report: TrainingReport) -> bytes:
    """`report.json`: what is NaN is null there."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
