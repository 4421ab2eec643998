"""A forecaster that says one number gets a band: the quantiles of its own errors, row by row. Pure."""

from collections.abc import Callable

import numpy as np

from cloud_trainer.judge import Judged
from gateway.contract.inputs import F64


def with_band(learnt_on: Judged, median_w: F64) -> Callable[[F64, Judged], F64]:
    """How to spread medians `[n, rows]` into quantiles `[n, rows, quantiles]`, learnt on one part of the data.

    Errors are taken in units of each window's own spread, as everywhere. The median stays what was said: a
    forecaster that is always too low has no band below it.
    """
    spec = learnt_on.spec
    errors = (learnt_on.windows.actual_w - median_w) / learnt_on.windows.scale_w[:, np.newaxis]
    errors = np.where(learnt_on.counts, errors, np.nan)
    offsets = np.zeros((spec.rows, len(spec.quantiles)))
    for row in range(spec.rows):
        known = errors[np.isfinite(errors[:, row]), row]
        if known.size:
            offsets[row] = np.quantile(known, spec.quantiles)
    levels = np.asarray(spec.quantiles)
    offsets = np.where(levels < 0.5, np.minimum(offsets, 0.0), np.maximum(offsets, 0.0)) * (levels != 0.5)

    def spread(median_w: F64, part: Judged) -> F64:
        scale_w = part.windows.scale_w[:, np.newaxis, np.newaxis]
        return np.asarray(median_w[..., np.newaxis] + offsets * scale_w)

    return spread
