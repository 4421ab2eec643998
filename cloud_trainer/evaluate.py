"""How good a forecaster is, against doing nothing clever. Pure.

Errors are in units of each window's own spread, so that a home counts as much as a factory. The
naive forecasts are columns of the very tensor the model sees. No R2 and no percentages: both
flatter on some sites and are undefined on others.
"""

import numpy as np

from cloud_trainer.dataset import Windows
from gateway.contract.inputs import CHANNEL_NAMES, F32, F64, I64, QUANTILES


def judge(windows: Windows, output: F32) -> dict[str, float]:
    """What `output`, `[n, HORIZON_STEPS, 3]`, is worth on `windows`.

    `skill_*` is 1 - error / error of that naive forecast: 0 is no better, below 0 is worse.
    `skill_worst_site` is against the better naive forecast of each single site.
    """
    ordered = np.sort(output.astype(np.float64), axis=-1)
    target = windows.targets.astype(np.float64)
    model, daily, weekly = (
        np.abs(forecast - target).mean(axis=-1)
        for forecast in (ordered[..., QUANTILES.index(0.5)], daily_naive(windows), weekly_naive(windows))
    )
    sites = [_skill(model[at], daily[at], weekly[at]) for at in _rows_by_site(windows.site)]
    inside = (target >= ordered[..., 0]) & (target <= ordered[..., -1])
    return {
        "mae": float(model.mean()),
        "mae_daily_naive": float(daily.mean()),
        "mae_weekly_naive": float(weekly.mean()),
        "skill_daily": float(1 - model.mean() / daily.mean()),
        "skill_weekly": float(1 - model.mean() / weekly.mean()),
        "skill_mean_site": float(np.mean(sites)),
        "skill_worst_site": float(np.min(sites)),
        "pinball": pinball(target, ordered),
        "coverage_80": float(inside.mean()),
        "windows": float(len(windows)),
    }


def pinball(target: F64, output: F64) -> float:
    """Mean pinball loss over all quantiles."""
    error = target[..., np.newaxis] - output
    quantiles = np.array(QUANTILES)
    return float(np.maximum(quantiles * error, (quantiles - 1) * error).mean())


def daily_naive(windows: Windows) -> F64:
    """The same slot of yesterday, else the last value; scaled, `[n, HORIZON_STEPS]`."""
    return _column(windows, "lag_1d")


def weekly_naive(windows: Windows) -> F64:
    """The same slot of last week, else the daily naive forecast; scaled, `[n, HORIZON_STEPS]`."""
    return np.where(_column(windows, "lag_7d_known") == 1, _column(windows, "lag_7d"), daily_naive(windows))


def _column(windows: Windows, name: str) -> F64:
    # An unknown lag is 0 in the tensor, and 0 in scaled units is the last value.
    return windows.inputs[..., CHANNEL_NAMES.index(name)].astype(np.float64)


def _skill(model: F64, daily: F64, weekly: F64) -> float:
    return float(1 - model.mean() / min(daily.mean(), weekly.mean()))


def _rows_by_site(site: I64) -> list[I64]:
    return [np.flatnonzero(site == number) for number in np.unique(site)]
