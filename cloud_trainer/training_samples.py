"""What the pictures of a training report are drawn from: a typical week, errors, reliability. Pure.

A typical week, not the best: of all weeks of the test part the one with the median error.
"""

from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.training_report import Errors, Samples, Week
from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F64, I64
from gateway.contract.local_time import utc_offset_us

WEEK_US = 7 * DAY_US
_HOUR_US = DAY_US // 24


def samples(
    spec: ForecastSpec,
    site: str,
    zone: ZoneInfo,
    issued_us: I64,
    *,
    actual_w: F64,
    said_w: F64,
    baseline: str,
    baseline_w: F64,
    calibrated_w: F64 | None = None,
) -> Samples:
    """The samples of one site.

    Args:
        spec: what was forecast.
        site: its name.
        zone: its time zone.
        issued_us: issue instants of the test part, rising, `[n]`.
        actual_w: what came, NaN where unknown, `[n, rows]`; a row of the peak is left out here.
        said_w: quantiles of the model, `[n, rows, quantiles]`.
        baseline: the name of the better baseline.
        baseline_w: what it said, `[n, rows]`.
        calibrated_w: quantiles after the rolling calibration, where it was replayed.
    """
    steps = slice(spec.horizon_steps)
    actual_w, said_w, baseline_w = actual_w[:, steps], said_w[:, steps], baseline_w[:, steps]
    median_w = said_w[..., spec.median]
    target_us = issued_us[:, np.newaxis] + np.arange(spec.horizon_steps, dtype=np.int64) * spec.step_us
    hour = (target_us + utc_offset_us(target_us, zone)) % DAY_US // _HOUR_US
    lead = np.broadcast_to(np.arange(spec.horizon_steps), target_us.shape)
    return Samples(
        site=site,
        zone=zone.key,
        baseline=baseline,
        week=_week(spec, zone, issued_us, actual_w, said_w, baseline_w),
        by_lead=_errors(lead, spec.horizon_steps, median_w, baseline_w, actual_w),
        by_hour=_errors(hour, 24, median_w, baseline_w, actual_w),
        observed=_observed(said_w, actual_w),
        observed_calibrated=None if calibrated_w is None else _observed(calibrated_w[:, steps], actual_w),
    )


def typical_week(spec: ForecastSpec, zone: ZoneInfo, issued_us: I64, error_w: F64) -> I64:
    """Rows of forecasts that follow one another without overlap, for the week of the median error.

    Args:
        spec: what was forecast.
        zone: the site's time zone: a chain begins at midnight where a forecast does.
        issued_us: issue instants, rising, `[n]`.
        error_w: the mean absolute error of each forecast, NaN where nothing was measured, `[n]`.
    """
    chain = _chain(issued_us, zone, spec.horizon_steps * spec.step_us)
    if not len(chain):
        return chain
    number = (issued_us[chain] - issued_us[chain[0]]) // WEEK_US
    weeks = [chain[number == one] for one in np.unique(number)]
    fullest = max(np.isfinite(error_w[week]).sum() for week in weeks)
    # A week cut short by the end of the data, or by a gap, is not typical.
    whole = [week for week in weeks if np.isfinite(error_w[week]).sum() >= 0.9 * fullest]
    by_error = sorted(whole, key=lambda week: float(np.nan_to_num(_mean(error_w[week], axis=0))))
    return np.asarray(by_error[(len(by_error) - 1) // 2])


def _chain(issued_us: I64, zone: ZoneInfo, horizon_us: int) -> I64:
    """Rows of which each is issued when the one before has ended, or later."""
    midnight = (issued_us + utc_offset_us(issued_us, zone)) % DAY_US == 0
    rows: list[int] = []
    row = int(np.argmax(midnight)) if midnight.any() else 0
    while row < len(issued_us):
        rows.append(row)
        row = int(np.searchsorted(issued_us, issued_us[row] + horizon_us))
    return np.array(rows, dtype=np.int64)


def _week(spec: ForecastSpec, zone: ZoneInfo, issued_us: I64, actual_w: F64, said_w: F64, baseline_w: F64) -> Week:
    error_w = _mean(np.abs(said_w[..., spec.median] - actual_w), axis=-1)
    rows = typical_week(spec, zone, issued_us, error_w)
    if not len(rows):
        return Week([], [], [], [[] for _ in spec.quantiles])
    first_us = int(issued_us[rows[0]])
    at = (issued_us[rows, np.newaxis] - first_us) // spec.step_us + np.arange(spec.horizon_steps)
    count = int(at[-1, -1]) + 1

    def laid_out(values: F64) -> list[float]:
        line = np.full(count, np.nan)
        line[at] = values[rows]
        return [float(one) for one in line]

    return Week(
        start_us=(first_us + np.arange(count) * spec.step_us).tolist(),
        actual_w=laid_out(actual_w),
        baseline_w=laid_out(baseline_w),
        quantiles_w=[laid_out(said_w[..., number]) for number in range(len(spec.quantiles))],
    )


def _errors(group: I64, groups: int, median_w: F64, baseline_w: F64, actual_w: F64) -> Errors:
    """Errors of each group of steps; NaN where a group is empty."""

    def mean(values: F64) -> list[float]:
        known = np.isfinite(values)
        count = np.bincount(group[known], minlength=groups)
        total = np.bincount(group[known], weights=values[known], minlength=groups)
        return [float(one) for one in np.where(count > 0, total / np.maximum(count, 1), np.nan)]

    return Errors(
        mae_w=mean(np.abs(median_w - actual_w)),
        bias_w=mean(median_w - actual_w),
        baseline_mae_w=mean(np.abs(baseline_w - actual_w)),
    )


def _observed(said_w: F64, actual_w: F64) -> list[float]:
    """The share of the known actuals at or below each quantile."""
    below = np.where(np.isnan(actual_w)[..., np.newaxis], np.nan, actual_w[..., np.newaxis] <= said_w)
    return [float(one) for one in _mean(below.reshape(-1, below.shape[-1]), axis=0)]


def _mean(values: F64, axis: int) -> F64:
    """The mean of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
