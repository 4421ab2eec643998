"""What a forecast says in watts, whoever made it, and the record of it. Pure.

The way of a forecast: quantiles of the model and of the baseline (`from_model`, `from_baseline`), their mix
(`standing`), the band that experience gives it (`calibration`), `within_physics`, `record`.
"""

from typing import NamedTuple

import numpy as np

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import F32, F64, Scaled, restore_w
from gateway.contract.manifest import ForecastTarget
from gateway.contract.records import ForecastRecord, Rung
from gateway.core.baseline import BASELINES, Baseline, is_whole, quantiles_w
from gateway.core.daylight import is_daylight
from gateway.core.past import Past

# A gigawatt is a power station: a model that says so has lost its mind, finite or not.
FORECAST_W_MAX = 1e9


def from_model(spec: ForecastSpec, target: ForecastTarget, output: F32, scaled: Scaled, past: Past) -> F64 | None:
    """What the model said of one window, `[rows, quantiles]` W; None when it cannot be meant: the baseline speaks."""
    said_w = restore_w(output, scaled)
    if not (np.abs(said_w) < FORECAST_W_MAX).all():
        return None
    return within_physics(spec, target, said_w, past)


def from_baseline(spec: ForecastSpec, target: ForecastTarget, baseline: Baseline, past: Past) -> F64 | None:
    """What `baseline` says of one window, `[rows, quantiles]` W; None when nothing is known."""
    if not past.known.any():
        return None
    said_w = np.clip(quantiles_w(baseline, spec, past), -FORECAST_W_MAX, FORECAST_W_MAX)
    return within_physics(spec, target, said_w, past)


class Limits(NamedTuple):
    """The least and the most that a power can be in each row, W, `[..., rows]`."""

    lowest_w: F64
    highest_w: F64


def limits(spec: ForecastSpec, target: ForecastTarget, past: Past) -> Limits:
    """What can be after `past`.

    Production is nothing at night and never less than nothing; consumption is not below the least that was
    seen where a site feeds in unmetered, else not below nothing.
    """
    shape = (*past.issued_us.shape, spec.rows)
    if target == "production_w":
        return Limits(np.zeros(shape), np.where(is_daylight(spec, past), np.inf, 0.0))
    return Limits(np.broadcast_to(lowest_w(past)[..., np.newaxis], shape), np.full(shape, np.inf))


def within(spec: ForecastSpec, quantiles_w: F64, possible: Limits) -> F64:
    """`quantiles_w` `[..., rows, quantiles]` without what cannot be; a peak is not below any of its steps."""
    found = np.clip(quantiles_w, possible.lowest_w[..., np.newaxis], possible.highest_w[..., np.newaxis])
    if spec.has_peak:
        found[..., -1, :] = np.maximum(found[..., -1, :], found[..., :-1, :].max(axis=-2))
    return found


def within_physics(spec: ForecastSpec, target: ForecastTarget, quantiles_w: F64, past: Past) -> F64:
    """`quantiles_w` `[..., rows, quantiles]` without what cannot be after `past`."""
    return within(spec, quantiles_w, limits(spec, target, past))


def lowest_w(past: Past) -> F64:
    """What consumption cannot be below: nothing, or the least seen where a site feeds in unmetered; `[...]`."""
    return np.asarray(np.where(past.known, past.power_w, 0.0).min(axis=-1, initial=0.0))


def rung_of(spec: ForecastSpec, target: ForecastTarget, baseline: Baseline, past: Past) -> Rung:
    """What one window lets `baseline` be called: itself when every step could take it, else the next that could."""
    ladder = BASELINES[target]
    for one in ladder[ladder.index(baseline) :]:
        if bool(is_whole(one, spec, past)):
            return one
    return "last_value"


def record(
    spec: ForecastSpec,
    target: ForecastTarget,
    quantiles_w: F64,
    *,
    rung: Rung,
    bundle: str | None,
    issued_us: UtcUs,
    start_us: UtcUs,
) -> ForecastRecord:
    """The record of `quantiles_w` `[rows, quantiles]`, in order."""
    whole_w = np.rint(quantiles_w).astype(np.int64)
    steps = dict(zip(spec.quantiles, whole_w[: spec.horizon_steps].T.tolist(), strict=True))
    return ForecastRecord(
        issued_us=issued_us,
        target=target,
        rung=rung,
        bundle=bundle,
        start_us=start_us,
        step_us=spec.step_us,
        p10=steps[0.1],
        p50=steps[0.5],
        p90=steps[0.9],
        kind=spec.kind,
        p95=steps.get(0.95),
        peak=whole_w[-1].tolist() if spec.has_peak else None,
    )


def energy_wh(forecast: ForecastRecord) -> int:
    """Energy of the whole horizon by its median, Wh."""
    return round(sum(forecast.p50) * forecast.step_us / 3_600_000_000)
