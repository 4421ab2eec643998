"""A training report of made-up sites, as a run would fill it."""

from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.finding import Finding
from cloud_trainer.form import FormTrial
from cloud_trainer.training_report import (
    Candidate,
    ModelReport,
    Part,
    Samples,
    SeedScores,
    SiteReport,
    SiteScores,
    TrainingReport,
)
from cloud_trainer.training_samples import samples
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD, ForecastSpec
from gateway.contract.inputs import F64, I64
from gateway.contract.manifest import forecast_name
from gateway.core.scores import Scores, score

ZONE = ZoneInfo("Europe/Amsterdam")
# A Monday in March: the clocks change in the third week.
START_US = 1_709_506_800_000_000
DAYS = 35


def said_and_done(spec: ForecastSpec, seed: int = 1, error: float = 0.25) -> tuple[I64, F64, F64, F64]:
    """Issue instants `[n]`, what came `[n, rows]`, quantiles `[n, rows, quantiles]` and a naive forecast, watts."""
    rng = np.random.default_rng(seed)
    steps = DAYS * spec.day_steps
    hour = np.arange(steps) * spec.step_us % DAY_US / (DAY_US / 24)
    shape = 300 + 900 * np.exp(-((hour - 19) ** 2) / 5) + 400 * np.exp(-((hour - 8) ** 2) / 3)
    power_w = shape * np.exp(0.25 * rng.standard_normal(steps))
    power_w[4 * spec.day_steps : 4 * spec.day_steps + spec.day_steps // 4] = np.nan
    every = max(spec.horizon_steps // 4, 1)
    issued = np.arange(spec.day_steps, steps - spec.horizon_steps + 1, every)
    ahead = issued[:, np.newaxis] + np.arange(spec.horizon_steps)
    actual_w, naive_w = power_w[ahead], np.nan_to_num(power_w[ahead - spec.day_steps], nan=300.0)
    median_w = shape[ahead] * (1 + error * 0.2 * rng.standard_normal(ahead.shape))
    if spec.has_peak:
        actual_w, naive_w, median_w = (
            np.concatenate([one, one.max(axis=-1, keepdims=True)], axis=-1) for one in (actual_w, naive_w, median_w)
        )
    factor = 1 + error * np.array([-1.2, 0.0, 1.3, 1.8])[: len(spec.quantiles)]
    said_w = median_w[..., np.newaxis] * factor
    return START_US + issued * spec.step_us, actual_w, said_w, naive_w


def scores(spec: ForecastSpec, seed: int = 1, error: float = 0.25) -> Scores:
    """Of one candidate."""
    issued_us, actual_w, said_w, naive_w = said_and_done(spec, seed, error)
    return score(
        spec, said_w, actual_w, {"daily_naive": naive_w}, day=issued_us // DAY_US, train_sd_w=400.0, mask=None
    )


def site_samples(spec: ForecastSpec, site: str = "Bakery | No. 7") -> Samples:
    """Of one site; what a gateway's calibration would make of it is a little wider."""
    issued_us, actual_w, said_w, naive_w = said_and_done(spec)
    wider_w = said_w + (said_w - said_w[..., spec.median, np.newaxis]) * 0.15
    return samples(
        spec,
        site,
        ZONE,
        issued_us,
        actual_w=actual_w,
        said_w=said_w,
        baseline="daily_naive",
        baseline_w=naive_w,
        calibrated_w=wider_w,
    )


def model_report(spec: ForecastSpec = ENERGY) -> ModelReport:
    """Three candidates, a benchmark and two baselines."""
    seeds = [SeedScores(seed, scores(spec, seed)) for seed in (1, 2, 3)]
    poor = [SeedScores(seed, scores(spec, seed, error=1.5 + seed / 5)) for seed in (1, 2, 3)]
    naive = [SeedScores(None, scores(spec, 1, error=4.0))]
    end_us = START_US + DAYS * DAY_US
    return ModelReport(
        name=forecast_name(spec, "consumption_w"),
        kind=spec.kind,
        target="consumption_w",
        step_us=spec.step_us,
        horizon_steps=spec.horizon_steps,
        quantiles=list(spec.quantiles),
        train_sd_w=400.0,
        parts={
            "train": Part(START_US - 200 * DAY_US, START_US - 40 * DAY_US, 15_000),
            "validation": Part(START_US - 39 * DAY_US, START_US - 2 * DAY_US, 3_500),
            "test": Part(START_US, end_us, 3_200),
        },
        candidates=[
            Candidate("blend", seeds, parameters=45_641, bytes=97_800, train_s=81.0),
            Candidate("step_mlp", seeds[:2], parameters=13_385, bytes=56_000, train_s=80.0, beaten_share=0.71),
            Candidate("lstm", poor, parameters=20_100, train_s=744.0, beaten_share=1.0, remark="50-25"),
            Candidate("lightgbm", seeds[1:2], role="benchmark", train_s=12.0, beaten_share=0.66),
            Candidate("daily_naive", naive, role="baseline", beaten_share=1.0),
        ],
        chosen="blend",
        chosen_reason="lowest pinball loss on the validation part over three seeds",
        blend_weights={"ridge": 0.25, "step_mlp": 0.75},
        form="int8",
        form_reason="int8 (61.0 kB): the smallest that is as good",
        bytes=61_000,
        forms=[
            FormTrial("float32", 186_000, 0.1034, 3e-6),
            FormTrial("float16", problem="the converter ended with -11"),
            FormTrial("int8", 61_000, 0.1036, 0.12),
        ],
        sites=[SiteScores("Bakery | No. 7", {"blend": seeds[0].scores, "lstm": poor[0].scores})],
        samples=[site_samples(spec)],
    )


def training_report() -> TrainingReport:
    """Two models of two sites, one of which could not be used."""
    young = Finding("too_short", "error", "2 days of 28", "wait for 26 more days")
    holes = Finding("gaps", "warning", "6 h | of one day are missing", "look at the meter", "consumption_w")
    first_us, end_us = START_US - 200 * DAY_US, START_US + DAYS * DAY_US
    sites = [
        SiteReport(name, "default", ZONE.key, first, end_us, ENERGY.step_us, ["consumption_w"], used, found)
        for name, first, used, found in (
            ("Bakery | No. 7", first_us, True, [holes]),
            ("Shed", end_us - 2 * DAY_US, False, [young]),
        )
    ]
    return TrainingReport(
        command="smartwatts-trainer train --data sites --seed 1",
        created_us=START_US + (DAYS + 1) * DAY_US,
        data="2 sites from CSV files",
        seeds=[1, 2, 3],
        software={"TensorFlow": "2.21.0", "numpy": "1.26.4"},
        sites=sites,
        models=[model_report(ENERGY), model_report(LOAD)],
        train_s=312.0,
        peak_bytes=1_400_000_000,
        notes=["Shed gets the forecaster of all sites until it has 28 days of its own."],
    )
