"""How good the forecasts are on recordings, by the artefact that ships, beside naive forecasts, ridge and trees.

Each cell is trained three times from the beginning, with other seeds; a figure is their mean, and the line
`.spread` the distance of the best from the worst. What is judged is what a gateway would have shown: the
`.tflite` in the production host, with calibration and standing. Recordings are read from the folder DATA.

Parts: the steel works and single homes 70/10/20 % by time; the transformer as in its papers, 12/4/4 months.
"""

import csv
import gzip
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.artefact import settle
from cloud_trainer.backtest import Seen, replay
from cloud_trainer.judge import Judged, judged
from cloud_trainer.series import SiteSeries
from cloud_trainer.train import TrainConfig, Trained, train, usual_config
from cloud_trainer.windows import origins, windows
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW, MINUTE_US, ForecastSpec, energy_spec
from gateway.contract.manifest import ForecastTarget
from tests.bench import accuracy_ett
from tests.bench.yardsticks import StepRows, lightgbm_median
from tests.sim.homes_archive import unpack_homes

SEEDS = (1, 2, 3)
HOUR_US = 60 * MINUTE_US
HOME = energy_spec(HOUR_US, 24)
HOMES = range(1, 6)
# What a home that is new knows of itself.
COLD_DAYS = 14.0
_UTC = ZoneInfo("UTC")  # the recordings are in local time without summer time: their hours are taken as they are

Line = tuple[str, float, str, float | None]


@dataclass(frozen=True, slots=True)
class Recording:
    """One load, and the shares of its time to learn from and to choose by."""

    name: str
    series: SiteSeries
    train_share: float = 0.7
    validation_share: float = 0.1


def bench() -> Iterator[Line]:
    folder = os.environ.get("DATA")
    if not folder:
        print("accuracy: the environment names no folder DATA with recordings.", file=sys.stderr)
        return
    for recording in (steel(Path(folder)), transformer(Path(folder))):
        yield from cells(recording)
    yield from accuracy_ett.bench()
    yield from homes(Path(folder))


def steel(folder: Path) -> Recording:
    """A steel works: kWh of quarter hours of 2018."""
    power_w = column(folder / "steel_industry_15min.csv.gz", "Usage_kWh") * 4_000
    return Recording("steel", SiteSeries("steel", "bench", _UTC, 1_514_764_800_000_000, ENERGY.step_us, power_w))


def transformer(folder: Path) -> Recording:
    """The load HUFL of a transformer, in a unit nobody told: its training part has a spread of a kilowatt here."""
    months = column(folder / "ett_m1.csv.gz", "HUFL")[: 20 * 30 * 96]
    power_w = months / months[: 12 * 30 * 96].std() * 1_000
    series = SiteSeries("ett_m1", "bench", _UTC, 1_467_331_200_000_000, ENERGY.step_us, power_w)
    return Recording("ett_m1", series, 12 / 20, 4 / 20)


def column(path: Path, name: str) -> np.ndarray:
    with gzip.open(path, "rt") as file:
        return np.array([float(row[name]) for row in csv.DictReader(file)])


def cells(recording: Recording) -> Iterator[Line]:
    """Both forecasters of one recording."""
    for spec, lead in ((ENERGY, "24h"), (LOAD_SLOW, "1h")):
        config = replace(
            usual_config(spec, "consumption_w"),
            train_share=recording.train_share,
            validation_share=recording.validation_share,
        )
        runs = [run(replace(config, seeds=(seed,)), [recording.series]) for seed in SEEDS]
        name = f"accuracy.{recording.name}.{spec.kind}"
        yield from cell(name, lead, runs)


@dataclass(frozen=True, slots=True)
class Run:
    """One training, and what its artefact showed of the test part."""

    trained: Trained
    artefact_kb: float
    seen: Seen


def run(config: TrainConfig, sites: Sequence[SiteSeries]) -> Run:
    trained = train(config, sites, _say)
    assert trained.forecaster is not None, trained.reason
    settled = settle(trained)
    return Run(trained, len(settled.model.data) / 1e3, replay(settled.model, trained.test, list(sites)))


def cell(name: str, lead: str, runs: list[Run]) -> Iterator[Line]:
    """The figures of one cell, each beside that of trees on the same windows."""
    first = runs[0].trained
    trees = first.test.scores(trees_w(first))
    rows = {row.name: row.test[0] for row in first.rows}
    skills = [one.seen.shown.skill for one in runs]
    yield f"{name}.skill_{lead}", _mean(skills), "1", round(trees.skill, 4)
    yield f"{name}.skill_{lead}_spread", round(max(skills) - min(skills), 4), "1", None
    yield f"{name}.skill_{lead}_model_alone", _mean([one.seen.said.skill for one in runs]), "1", round(trees.skill, 4)
    yield f"{name}.skill_{lead}_ridge", round(rows["ridge"].skill, 4), "1", round(trees.skill, 4)
    yield f"{name}.mae_{lead}", _mean([one.seen.shown.mae_sd for one in runs]), "train sd", round(trees.mae_sd, 4)
    for naive in ("daily_naive", "seasonal_naive"):
        yield f"{name}.mae_{lead}_{naive}", round(rows[naive].mae_sd, 4), "train sd", round(trees.mae_sd, 4)
    ridge_loss = round(rows["ridge"].pinball_sd, 4)
    yield f"{name}.pinball_{lead}", _mean([one.seen.shown.pinball_sd for one in runs]), "train sd", ridge_loss
    yield f"{name}.coverage_{lead}", _mean([one.seen.shown.coverage for one in runs]), "1", 0.8
    yield f"{name}.r2_{lead}", _mean([one.seen.shown.r2 for one in runs]), "1", round(trees.r2, 4)
    yield f"{name}.artefact_kb", _mean([one.artefact_kb for one in runs]), "kB", None
    yield f"{name}.train_s", _mean([one.trained.train_s for one in runs]), "s", None


def trees_w(trained: Trained) -> np.ndarray:
    """What trees say of the test part, `[n, rows, quantiles]`: medians alone, so their band has no width."""
    data = trained.data
    median = lightgbm_median(
        StepRows(data.train.steps, data.train.targets),
        StepRows(data.validation.steps, data.validation.targets),
        data.test.steps,
    )
    said = np.repeat(median[..., np.newaxis], len(trained.config.spec.quantiles), axis=-1)
    return trained.test.meant_w(said)


def homes(folder: Path) -> Iterator[Line]:
    """Five homes with panels, by the hour: one model of all, judged at each; then each as a stranger."""
    with tempfile.TemporaryDirectory(prefix="smartwatts-homes-") as scratch:
        recordings = unpack_homes(folder, Path(scratch))
        sites = [home(recordings, number) for number in HOMES]
    yield from pooled_model("consumption_w", "accuracy.homes.energy_forecast.skill_24h", sites)
    yield from pooled_model("production_w", "accuracy.homes.production.daylight_skill_24h", sites)
    yield from strangers("accuracy.homes.cold_start.skill_24h", sites)


def home(folder: Path, number: int) -> SiteSeries:
    path = folder / f"Building_{number}.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    consumption_w = np.array([float(row["non_shiftable_load"]) for row in rows]) * 1_000
    production_w = np.array([float(row["solar_generation"]) for row in rows]) * 4  # W of each kW; four are installed
    return SiteSeries(f"home_{number}", "bench", _UTC, 1_470_009_600_000_000, HOUR_US, consumption_w, production_w)


def pooled_model(target: ForecastTarget, name: str, sites: Sequence[SiteSeries]) -> Iterator[Line]:
    """One model of all homes, judged at each."""
    runs = [run(replace(usual_config(HOME, target), seeds=(seed,)), sites) for seed in SEEDS]
    skills = []
    for number, site in enumerate(sites):
        skills.append(_mean([_of_site(one.trained.test, one.seen, number) for one in runs]))
        yield f"{name}_{site.name}", skills[-1], "1", None
    yield f"{name}_mean", _mean(skills), "1", None
    yield f"{name}_min", min(skills), "1", None


def strangers(name: str, sites: Sequence[SiteSeries]) -> Iterator[Line]:
    """Each home by the model of the other four, when it knows two weeks of itself."""
    skills = []
    for stranger in sites:
        others = [site for site in sites if site is not stranger]
        of_seeds = []
        for seed in SEEDS:
            config = replace(usual_config(HOME, "consumption_w"), seeds=(seed,))
            trained = train(config, others, _say)
            if trained.forecaster is None:
                of_seeds.append(0.0)
                continue
            part = as_stranger(HOME, stranger, trained)
            of_seeds.append(replay(settle(trained).model, part, [stranger]).shown.skill)
        skills.append(_mean(of_seeds))
        yield f"{name}_{stranger.name}", skills[-1], "1", None
    yield f"{name}_mean", _mean(skills), "1", None
    yield f"{name}_min", min(skills), "1", None


def as_stranger(spec: ForecastSpec, site: SiteSeries, trained: Trained) -> Judged:
    """The test part of a site of which at each instant two weeks alone are known, to model and baselines."""
    config = trained.config
    first = int(len(site) * (config.train_share + config.validation_share))
    at = origins(spec, first, len(site), config.judged_max)
    seen = windows(spec, site, config.target, at, history_days=np.full(len(at), COLD_DAYS))
    return judged(spec, [site], config.target, seen, trained.data.train_sd_w, known_days=COLD_DAYS)


def _of_site(part: Judged, seen: Seen, number: int) -> float:
    mine = part.windows.site == number
    return part.where(mine).scores(seen.shown_w[mine]).skill


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
