"""The windows a forecaster learns from and is judged by, made as on the device. Pure.

Nothing is filled in: what nobody measured is unknown to the model, as it is on the gateway, and an
unknown target counts for nothing. A window whose last day is not known well is left out, for the gateway
would not ask the model there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import ForecastSpec
from gateway.contract.inputs import (
    CHANNEL_NAMES,
    CHANNELS,
    F32,
    F64,
    I64,
    Mask,
    is_forecastable,
    model_inputs,
    scale_history,
)
from gateway.contract.manifest import ForecastTarget

# Histories are float64 and 28 days long: so many at once are 20 MB.
CHUNK_WINDOWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What a model sees and should say, and what watts these are; `n` windows."""

    recent: F32  # [n, recent_steps]
    steps: F32  # [n, rows, CHANNELS]
    targets: F32  # [n, rows], (W - anchor) / scale; NaN where unknown
    actual_w: F64  # [n, rows], the same in watts, to the last digit: an actual may stand on the edge of a band
    anchor_w: F64  # [n]
    scale_w: F64  # [n]
    issued_us: I64  # [n]
    site: I64  # [n], which of the sites

    def __len__(self) -> int:
        return len(self.recent)

    def where(self, rows: I64 | Mask | slice) -> "Windows":
        """Some of these windows."""
        return Windows(*(getattr(self, field.name)[rows] for field in fields(self)))

    def restored(self, scaled: F32 | F64) -> F64:
        """Watts of `[n, rows]` or `[n, rows, quantiles]` in scaled units."""
        shape = (-1,) + (1,) * (scaled.ndim - 1)
        return np.asarray(scaled.astype(np.float64) * self.scale_w.reshape(shape) + self.anchor_w.reshape(shape))

    def channel(self, name: str) -> F32:
        """One column of `steps`, `[n, rows]`."""
        return self.steps[..., CHANNEL_NAMES.index(name)]


def joined(parts: Sequence[Windows]) -> Windows:
    """All windows of all parts."""
    return Windows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Windows)))


def windows(
    spec: ForecastSpec,
    series: SiteSeries,
    target: ForecastTarget,
    origins: I64,
    *,
    number: int = 0,
    history_days: F64 | None = None,
) -> Windows:
    """One window per origin that a gateway would ask a model at.

    Args:
        spec: what is forecast; its step is the series'.
        series: where.
        target: of what.
        origins: steps of the series at which a forecast is issued, each with its horizon within it.
        number: which of the sites it is.
        history_days: how many days before each origin are known to the model, as at a site that is new, `[n]`.
    """
    assert spec.step_us == series.step_us, "a series in the steps of the spec"
    power_w = np.concatenate([np.full(spec.history_steps, np.nan), series.power_w(target)])
    views = np.lib.stride_tricks.sliding_window_view(power_w, spec.history_steps)
    issued_us = series.start_us + origins * spec.step_us
    age = np.arange(spec.history_steps, 0, -1)
    parts = []
    for first in range(0, len(origins), CHUNK_WINDOWS):
        rows = slice(first, first + CHUNK_WINDOWS)
        history = views[origins[rows]]
        known = np.isfinite(history)
        if history_days is not None:
            known &= age <= history_days[rows, np.newaxis] * spec.day_steps
        askable = is_forecastable(known, spec)
        history, known, at = history[askable], known[askable], origins[rows][askable]
        scaled = scale_history(history, known)
        inputs = model_inputs(spec, scaled, issued_us[rows][askable], series.zone)
        ahead = _ahead(spec, power_w, at)
        targets = (ahead - scaled.anchor_w[:, np.newaxis]) / scaled.scale_w[:, np.newaxis]
        parts.append(
            Windows(
                inputs.recent,
                inputs.steps,
                targets.astype(np.float32),
                ahead,
                scaled.anchor_w,
                scaled.scale_w,
                issued_us[rows][askable],
                np.full(len(at), number),
            )
        )
    return joined(parts) if parts else none(spec)


def none(spec: ForecastSpec) -> Windows:
    """No windows at all."""
    return Windows(
        np.empty((0, spec.recent_steps), np.float32),
        np.empty((0, spec.rows, CHANNELS), np.float32),
        np.empty((0, spec.rows), np.float32),
        np.empty((0, spec.rows)),
        np.empty(0),
        np.empty(0),
        np.empty(0, np.int64),
        np.empty(0, np.int64),
    )


def origins(spec: ForecastSpec, first: int, end: int, most: int) -> I64:
    """At most `most` steps at which to issue, evenly from `first` on, whose horizons are over by `end`.

    Where not all fit their distance is no whole number: so all times of day come up.
    """
    last = end - spec.horizon_steps
    count = min(last + 1 - first, most)
    if count <= 0:
        return np.empty(0, np.int64)
    return np.asarray(np.round(np.linspace(first, last, count)), dtype=np.int64)


def _ahead(spec: ForecastSpec, power_w: F64, at: I64) -> F64:
    """What came after each origin, `[n, rows]`; the peak of a horizon that is not known whole is unknown."""
    steps = power_w[spec.history_steps + at[:, np.newaxis] + np.arange(spec.horizon_steps)]
    if not spec.has_peak:
        return np.asarray(steps)
    return np.concatenate([steps, steps.max(axis=-1, keepdims=True)], axis=-1)
