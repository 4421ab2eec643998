"""How good what was said is: by the scores, baselines and physics of the gateway itself. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cloud_trainer.series import SiteSeries
from cloud_trainer.windows import CHUNK_WINDOWS, Windows
from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F32, F64, I64, Mask
from gateway.contract.local_time import utc_offset_us
from gateway.contract.manifest import ForecastTarget
from gateway.core.baseline import BASELINES, Baseline, median_w
from gateway.core.forecast import Limits, limits, within
from gateway.core.past import Past
from gateway.core.scores import Scores, score

# What skill is measured against: the better of yesterday and last week, and of panels the sky as it is now.
YARDSTICKS: Mapping[ForecastTarget, tuple[Baseline, ...]] = {
    "consumption_w": ("daily_naive", "seasonal_naive"),
    "production_w": ("smart_persistence", "daily_naive", "seasonal_naive"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Windows with all that judging them needs: what the baselines say, which steps count, and whose day it is."""

    spec: ForecastSpec
    target: ForecastTarget
    windows: Windows
    baselines_w: dict[Baseline, F64]  # of each, `[n, rows]`
    counts: Mask  # [n, rows]: known, and for production in daylight
    possible: Limits  # [n, rows]
    day: I64  # [n], of the site's own calendar
    train_sd_w: float
    # the baselines know so many days alone, as at a site that is new; None: all
    known_days: float | None = None

    def where(self, rows: I64 | Mask | slice) -> "Judged":
        """Some of these windows."""
        return Judged(
            self.spec,
            self.target,
            self.windows.where(rows),
            {name: one[rows] for name, one in self.baselines_w.items()},
            self.counts[rows],
            Limits(*(one[rows] for one in self.possible)),
            self.day[rows],
            self.train_sd_w,
            self.known_days,
        )

    def meant_w(self, scaled: F32 | F64) -> F64:
        """Quantiles in watts as a gateway would take them: in order, and without what cannot be."""
        return within(self.spec, np.sort(self.windows.restored(scaled), axis=-1), self.possible)

    def scores(self, quantiles_w: F64) -> Scores:
        """All scores of what was said, `[n, rows, quantiles]`, W; skill is against `YARDSTICKS` alone."""
        return score(
            self.spec,
            quantiles_w,
            self.windows.actual_w,
            {name: self.baselines_w[name] for name in YARDSTICKS[self.target]},
            day=self.day,
            train_sd_w=self.train_sd_w,
            mask=self.counts,
        )


def judged(
    spec: ForecastSpec,
    sites: Sequence[SiteSeries],
    target: ForecastTarget,
    windows: Windows,
    train_sd_w: float,
    *,
    known_days: float | None = None,
) -> Judged:
    """`windows` with what the gateway's baselines would have said at the same instants.

    Args:
        spec: what is forecast.
        sites: by the number in `windows.site`.
        target: of what.
        windows: what is to be judged.
        train_sd_w: standard deviation of the training part.
        known_days: the baselines too know so many days alone, as at a site that is new.
    """
    rows = (len(windows), spec.rows)
    baselines_w = {name: np.full(rows, np.nan) for name in BASELINES[target]}
    possible = Limits(np.zeros(rows), np.zeros(rows))
    day = np.zeros(len(windows), np.int64)
    for number in np.unique(windows.site):
        site = sites[number]
        members = np.flatnonzero(windows.site == number)
        issued_us = windows.issued_us[members]
        day[members] = (issued_us + utc_offset_us(issued_us, site.zone)) // DAY_US
        for first in range(0, len(members), CHUNK_WINDOWS):
            some = members[first : first + CHUNK_WINDOWS]
            past = past_of(spec, site, target, windows.issued_us[some], known_days)
            for name, said in baselines_w.items():
                said[some] = median_w(name, spec, past)
            for limit, found in zip(possible, limits(spec, target, past), strict=True):
                limit[some] = found
    # A night that all know of proves nothing.
    counts = np.isfinite(windows.targets) & (possible.highest_w > 0)
    return Judged(spec, target, windows, baselines_w, counts, possible, day, train_sd_w, known_days)


def past_of(
    spec: ForecastSpec, site: SiteSeries, target: ForecastTarget, issued_us: I64, known_days: float | None
) -> Past:
    """The histories that end at these instants."""
    origin = (issued_us - site.start_us) // spec.step_us
    power_w = np.concatenate([np.full(spec.history_steps, np.nan), site.power_w(target)])
    history = np.lib.stride_tricks.sliding_window_view(power_w, spec.history_steps)[origin]
    known = np.isfinite(history)
    if known_days is not None:
        known &= np.arange(spec.history_steps, 0, -1) <= known_days * spec.day_steps
    return Past(history, known, issued_us, site.zone)


def absolute_errors(part: Judged, quantiles_w: F64) -> F64:
    """Absolute errors of the median, W, NaN where a step does not count; `[n, horizon_steps]`."""
    return absolute_errors_of(part, quantiles_w[..., part.spec.median])


def absolute_errors_of(part: Judged, median_w: F64) -> F64:
    """As `absolute_errors`, of medians `[n, rows]`."""
    error = np.where(part.counts, np.abs(median_w - part.windows.actual_w), np.nan)
    return np.asarray(error[:, : part.spec.horizon_steps])


def losses_w(part: Judged, quantiles_w: F64) -> F64:
    """Pinball loss of each step, mean over quantiles, W; NaN where it does not count; `[n, horizon_steps]`."""
    steps, levels = slice(part.spec.horizon_steps), np.asarray(part.spec.quantiles)
    error = part.windows.actual_w[:, steps, np.newaxis] - quantiles_w[:, steps]
    loss = np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)
    return np.where(part.counts[:, steps], loss, np.nan)


def site_weights(part: Judged) -> F64:
    """What errors of each window are multiplied with, so that a home counts as much as a factory; `[n, 1]`.

    Their mean spread over that of their site; 1 where there is one site.
    """
    sites, number = np.unique(part.windows.site, return_inverse=True)
    spread_w = np.array([part.windows.scale_w[part.windows.site == one].mean() for one in sites])
    return np.asarray((spread_w.mean() / spread_w)[number.ravel(), np.newaxis])


def best_yardstick(part: Judged) -> Baseline:
    """The naive forecast that skill is measured against on this part."""
    return min(
        YARDSTICKS[part.target], key=lambda name: float(np.nanmean(absolute_errors_of(part, part.baselines_w[name])))
    )
