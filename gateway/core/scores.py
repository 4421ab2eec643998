"""How good forecasts were, and whether one is better than another beyond chance. Pure.

Errors are in watts; `mask` says which pairs of forecast and actual count, None: those whose actual is known
(not NaN). Where nothing counts, a score is NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F64, I64, Mask

# A peak beyond what was said at the highest quantile by less than this share is not missed, only met.
PEAK_MISS_SHARE = 0.05


def mae(said_w: F64, actual_w: F64, mask: Mask | None = None) -> float:
    """Mean absolute error, W."""
    return _mean(np.abs(said_w - actual_w), _counting(actual_w, mask))


def rmse(said_w: F64, actual_w: F64, mask: Mask | None = None) -> float:
    """Root of the mean squared error, W."""
    return float(np.sqrt(_mean((said_w - actual_w) ** 2, _counting(actual_w, mask))))


def r2(said_w: F64, actual_w: F64, mask: Mask | None = None) -> float:
    """Share of the variance that is explained; NaN where the actuals do not vary."""
    counting = _counting(actual_w, mask)
    variance = _mean((actual_w - _mean(actual_w, counting)) ** 2, counting)
    return _ratio_missing(_mean((said_w - actual_w) ** 2, counting), variance)


def pinball(quantiles_w: F64, actual_w: F64, levels: Sequence[float], mask: Mask | None = None) -> float:
    """Mean pinball loss over the quantiles `[..., levels]`, W."""
    error = actual_w[..., np.newaxis] - quantiles_w
    loss = np.maximum(np.asarray(levels) * error, (np.asarray(levels) - 1) * error).mean(axis=-1)
    return _mean(loss, _counting(actual_w, mask))


def coverage(low_w: F64, high_w: F64, actual_w: F64, mask: Mask | None = None) -> float:
    """Share of the actuals within the band, its edges included."""
    inside = (actual_w >= low_w) & (actual_w <= high_w)
    return _mean(inside.astype(np.float64), _counting(actual_w, mask))


def skill(error_w: float, *baseline_errors_w: float) -> float:
    """1 - error over that of the better baseline: 1 is perfect, below 0 worse; NaN without a baseline."""
    known = [one for one in baseline_errors_w if not np.isnan(one)]
    return _ratio_missing(error_w, min(known)) if known else float("nan")


def daily_wape(said_w: F64, actual_w: F64, day: I64) -> float:
    """Sum of the absolute errors of the energy of whole horizons over the sum of their energies.

    Args:
        said_w: medians, `[issues, steps]`.
        actual_w: what came; a horizon with an unknown step does not count.
        day: the local day of each issue: one horizon a day counts, the first whose steps are all known.
    """
    whole = np.flatnonzero(~np.isnan(actual_w).any(axis=-1))
    _, first = np.unique(day[whole], return_index=True)
    chosen = whole[first]
    said, actual = said_w[chosen].sum(axis=-1), actual_w[chosen].sum(axis=-1)
    total = float(np.abs(actual).sum())
    return float(np.abs(said - actual).sum()) / total if total > 0 else float("nan")


def peak_miss_rate(peak_high_w: F64, peak_w: F64, mask: Mask | None = None) -> float:
    """Share of the peaks that were higher than said at the highest quantile, by more than `PEAK_MISS_SHARE`."""
    missed = peak_w > peak_high_w + PEAK_MISS_SHARE * np.abs(peak_high_w)
    return _mean(missed.astype(np.float64), _counting(peak_w, mask))


def by_lead(values: F64, mask: Mask) -> F64:
    """Mean over the issues of each row of `values` `[issues, rows]`, NaN where nothing counts; `[rows]`."""
    count = mask.sum(axis=0)
    total = np.where(mask, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, slots=True)
class Scores:
    """One forecaster on one test part: watts, shares, and errors in standard deviations of the training part."""

    issues: int
    mae_w: float
    mae_sd: float
    rmse_w: float
    r2: float
    pinball_w: float
    pinball_sd: float
    coverage: float
    skill: float
    baseline: str
    baseline_mae_w: dict[str, float]
    daily_wape: float
    peak_miss_rate: float
    mae_by_lead_w: list[float]
    coverage_by_lead: list[float]


def score(
    spec: ForecastSpec,
    quantiles_w: F64,
    actual_w: F64,
    baselines_w: Mapping[str, F64],
    *,
    day: I64,
    train_sd_w: float,
    mask: Mask | None = None,
) -> Scores:
    """All scores of `quantiles_w` `[issues, rows, quantiles]` against `actual_w` `[issues, rows]`.

    Steps alone count for errors; the peak row, where there is one, for the peak-miss rate.

    Args:
        spec: what was forecast.
        quantiles_w: what was said.
        actual_w: what came, NaN where unknown.
        baselines_w: the medians of the baselines for the same issues, `[issues, rows]`; the best counts.
        day: the local day of each issue.
        train_sd_w: standard deviation of the training part.
        mask: which steps count `[issues, rows]`; None: those that are known.
    """
    steps = slice(spec.horizon_steps)
    counting = _counting(actual_w, mask)
    actual, said, inside = actual_w[:, steps], quantiles_w[:, steps], counting[:, steps]
    median, low, high = said[..., spec.median], said[..., 0], said[..., spec.quantiles.index(0.9)]
    baseline_w = {name: mae(one[:, steps], actual, inside) for name, one in baselines_w.items()}
    known = {name: one for name, one in baseline_w.items() if not np.isnan(one)}
    error_w, loss_w = mae(median, actual, inside), pinball(said, actual, spec.quantiles, inside)
    covered = ((actual >= low) & (actual <= high)).astype(np.float64)
    peak = (quantiles_w[:, -1, -1], actual_w[:, -1], counting[:, -1])
    return Scores(
        issues=int(inside.any(axis=-1).sum()),
        mae_w=error_w,
        mae_sd=_over(error_w, train_sd_w),
        rmse_w=rmse(median, actual, inside),
        r2=r2(median, actual, inside),
        pinball_w=loss_w,
        pinball_sd=_over(loss_w, train_sd_w),
        coverage=coverage(low, high, actual, inside),
        skill=skill(error_w, *known.values()),
        baseline=min(known, key=known.__getitem__, default=""),
        baseline_mae_w=baseline_w,
        daily_wape=daily_wape(median, actual, day),
        peak_miss_rate=peak_miss_rate(*peak) if spec.has_peak else float("nan"),
        mae_by_lead_w=by_lead(np.abs(median - actual), inside).tolist(),
        coverage_by_lead=by_lead(covered, inside).tolist(),
    )


def better_share(errors_a: F64, errors_b: F64, day: I64, rng: np.random.Generator, draws: int = 1000) -> float:
    """In which share of resampled histories `a` has the lower mean error: the paired day-block bootstrap.

    Whole days are drawn with replacement, the same for both: errors of one day belong together. A draw in
    which both are equal is not better.

    Args:
        errors_a: absolute errors or losses, `[issues]` or `[issues, rows]`, NaN where unknown in either.
        errors_b: those of the other for the same pairs.
        day: the day of each issue.
        rng: source of the draws.
        draws: how many.
    """
    both = ~(np.isnan(errors_a) | np.isnan(errors_b))
    difference = np.where(both, errors_a - errors_b, 0.0).reshape(len(errors_a), -1).sum(axis=-1)
    days, number = np.unique(day, return_inverse=True)
    by_day = np.bincount(number.ravel(), weights=difference, minlength=len(days))
    if not both.any():
        return float("nan")
    drawn = rng.integers(0, len(days), size=(draws, len(days)))
    # The lower mean over the same pairs is the lower sum.
    return float((by_day[drawn].sum(axis=-1) < 0).mean())


def _counting(actual_w: F64, mask: Mask | None) -> Mask:
    known = ~np.isnan(actual_w)
    return known if mask is None else known & mask


def _mean(values: F64, mask: Mask) -> float:
    count = int(mask.sum())
    return float(values[mask].sum() / count) if count else float("nan")


def _ratio_missing(error: float, whole: float) -> float:
    """1 - error / whole."""
    return 1 - error / whole if whole > 0 else float("nan")


def _over(value: float, scale: float) -> float:
    return value / scale if scale > 0 else float("nan")
