"""One recorded series, trained and judged as any site would be, with nothing tuned to it. A shell.

Seventy percent of its time to learn from, ten to choose by, twenty to judge by. What is told is what a gateway
would have shown: the artefact that ships, in the production host, with calibration and standing.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from cloud_trainer.artefact import settle
from cloud_trainer.backtest import replay
from cloud_trainer.dataset import gathered, require_fit
from cloud_trainer.finding import CHECKS, Check
from cloud_trainer.judge import best_yardstick
from cloud_trainer.machine import peak_bytes, software
from cloud_trainer.plan import ModelPlan
from cloud_trainer.report_folder import write_report
from cloud_trainer.run_report import figures, left_out_report, shipped_report
from cloud_trainer.selection import MinimumDays
from cloud_trainer.sources.files import load_file
from cloud_trainer.sources.mapping import duration_us, form_of_options
from cloud_trainer.train import TooLittleDataError, train, usual_config
from cloud_trainer.training_report import TrainingReport
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import NotFoundError, SettingError
from gateway.contract.forecast_spec import ForecastSpec, energy_spec, load_spec

# Up to here it is the next hour that is asked for, with its peak.
_LOAD_US_MAX = 3_600_000_000
# What would be wrong with a site's power may be right for a series that is none.
_REFUSED: tuple[Check, ...] = ("no_values", "constant", "too_short", "gaps", "text_cells", "cadence")
_ACCEPTED = tuple(check for check in CHECKS if check not in _REFUSED)


class Series(NamedTuple):
    """Where the series is, and how it is read."""

    path: Path
    time: str
    value: str
    cadence: str
    unit: str | None = None
    time_zone: str | None = None


class Backtest(msgspec.Struct, frozen=True):
    """What a gateway would have shown; mae, rmse and pinball in the unit of the column.

    `skill` is against the better of the daily and the weekly seasonal naive forecast, `chosen` what ships: where
    nothing is better, the naive forecast, and the artefact has no size.
    """

    mae: float
    rmse: float
    r2: float
    skill: float
    pinball: float
    coverage: float
    n_train: int
    n_val: int
    n_test: int
    artefact_kb: float
    chosen: str


def spec_of(cadence: str, horizon: str) -> ForecastSpec:
    """What is forecast in steps of `cadence`, `horizon` ahead.

    Raises:
        SettingError: a gateway could not.
    """
    step_us, ahead_us = duration_us("--cadence", cadence), duration_us("--horizon", horizon)
    if ahead_us % step_us:
        raise SettingError("--horizon", horizon, f"is no whole number of steps of {cadence}", "choose one that is")
    make = energy_spec if ahead_us > _LOAD_US_MAX else load_spec
    try:
        return make(step_us, ahead_us // step_us)
    except ValueError as error:
        next_step = "steps from 1 to 60 min, up to a day ahead"
        raise SettingError("--cadence", cadence, f"with --horizon {horizon}: {error}", next_step) from error


def backtest(
    series: Series, spec: ForecastSpec, seed: int, report: Path | None, say: Callable[[str], None]
) -> Backtest:
    """Train on the series and judge by its last fifth.

    Raises:
        SettingError: it cannot be read, or a check finds that it cannot be learnt from.
        run.UNSHIPPABLE: it was trained and cannot be made to ship.
    """
    clock = SystemClock()
    started_s, now_us = clock.monotonic_s(), clock.utc_us()
    if not series.path.is_file():
        raise NotFoundError("--data", str(series.path), "is no file", "name a recording")
    form = form_of_options(
        time=series.time, value=series.value, cadence=series.cadence, unit=series.unit, time_zone=series.time_zone
    )
    loaded = load_file(series.path, form)
    dataset = gathered(series.path.name, [loaded], now_us=now_us, minimum_days=MinimumDays(), accepted=_ACCEPTED)
    for line in dataset.verdicts[0].lines():
        say(line)
    require_fit(dataset)
    plan = ModelPlan(spec, "consumption_w", dataset.sites)
    config = replace(usual_config(spec, "consumption_w"), seeds=(seed,))
    try:
        trained = train(config, plan.sites, say)
    except TooLittleDataError as error:
        raise SettingError("--data", str(series.path), str(error), "give a longer recording") from error
    say(f"  {trained.reason}")
    data, size = trained.data, 0
    if trained.forecaster is None:
        chosen = str(best_yardstick(trained.validation))
        told = left_out_report(plan, trained, trained.reason)
        scores = next(row.test[0] for row in trained.rows if row.name == chosen)
    else:
        settled = settle(trained)
        say(f"  {settled.model.form_reason}")
        seen = replay(settled.model, trained.test, list(plan.sites))
        chosen, scores, size = trained.chosen, seen.shown, len(settled.model.data)
        told = shipped_report(plan, trained, settled, seen)
    took_s = clock.monotonic_s() - started_s
    if report is not None:
        command = f"smartwatts-trainer backtest --cadence {series.cadence} --seed {seed}"
        write_report(
            report,
            TrainingReport(
                command, now_us, dataset.words, [seed], software(), dataset.reports, [told], took_s, peak_bytes()
            ),
        )
        say(f"report in {report}")
    say(f"{took_s:.0f} s, peak memory {peak_bytes() / 1e6:.0f} MB")
    return Backtest(
        **figures(scores, watts_per_unit=loaded.watts_per_unit),
        n_train=len(data.train),
        n_val=len(data.validation),
        n_test=len(data.test),
        artefact_kb=size / 1000,
        chosen=chosen,
    )
