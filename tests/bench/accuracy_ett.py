"""The published test of long forecasts: seven channels of a transformer (ETT), 96 steps ahead, every window.

Protocol of the papers since Informer: months of 30 days, 12 to train, 4 to validate, 4 to test; each channel
in standard deviations of its training part; validation and test windows look back into the part before;
windows start at every step, none is dropped; errors are means over windows, steps and channels.

Ours is the ridge of `cloud_trainer.nlinear`: the equal-weight mean of its maps for every look-back of
`LOOK_BACKS`, one fitted on all channels together and one on each alone. Only the penalties are chosen, on
validation; nothing is fitted on validation or test windows. Equal weights, because four months cannot tell
such maps apart: weights fitted on three of them are no better on the fourth. A mean of linear maps is a
linear map, so what is tested is one map of 720 steps for each channel.
"""

import csv
import gzip
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cloud_trainer.nlinear import F32, F64, LAMBDAS, Moments, Ridge, Windows, mean_squared_error

HORIZON = 96
# Those that the papers report: 4 to 30 days of hours, 1 to 7.5 days of quarter hours.
LOOK_BACKS = (96, 192, 336, 512, 672, 720)
LOOK_BACK_MAX = max(LOOK_BACKS)


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of the transformer, and where its parts end, in rows."""

    name: str
    file: str
    day_rows: int

    @property
    def ends(self) -> tuple[int, int, int]:
        """Ends of training, validation and test."""
        month = 30 * self.day_rows
        return 12 * month, 16 * month, 20 * month


RECORDINGS = (Recording("ett_m1", "ett_m1.csv.gz", 96), Recording("ett_h1", "ett_h1.csv.gz", 24))


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    """Errors of the ridge, then of both naive forecasts; the baseline of each is the better naive one."""
    folder = os.environ.get("DATA")
    if not folder:
        print("accuracy_ett: the environment names no folder DATA with recordings.", file=sys.stderr)
        return
    for recording in RECORDINGS:
        yield from figures(recording, read_channels(Path(folder) / recording.file))


def figures(recording: Recording, channels: F64) -> Iterator[tuple[str, float, str, float | None]]:
    """`(name, value, unit, baseline)` of every forecast; `channels` is `[rows, channels]`."""
    train_end, validation_end, test_end = recording.ends
    scaled = (channels - channels[:train_end].mean(axis=0)) / channels[:train_end].std(axis=0)
    maps = fit(scaled.T, train_end, validation_end)
    errors: dict[str, list[tuple[float, float]]] = {}
    for channel, one in zip(scaled.T, maps, strict=True):
        test = windows(channel, validation_end, test_end)
        for name, forecast in forecasts(test.recent, one, recording.day_rows).items():
            error = forecast - test.targets
            errors.setdefault(name, []).append((float((error**2).mean()), float(np.abs(error).mean())))
    means = {name: np.mean(one, axis=0) for name, one in errors.items()}
    naive = np.minimum(means["_last_value"], means["_daily_naive"])
    for name, mean in means.items():
        for metric, value, baseline in zip(("mse", "mae"), mean, naive, strict=True):
            yield (
                f"accuracy.{recording.name}.multivariate_h{HORIZON}{name}.{metric}",
                round(float(value), 4),
                "train_sd2" if metric == "mse" else "train_sd",
                round(float(baseline), 4),
            )


def forecasts(recent: F32, ridge: Ridge, day_rows: int) -> dict[str, F64]:
    """What each forecaster says of the windows, `[n, HORIZON]`, relative to their last values."""
    yesterday = recent[:, -day_rows:]
    return {
        "": ridge.predict(recent),
        "_last_value": np.zeros((len(recent), HORIZON)),
        "_daily_naive": np.take(yesterday, np.arange(HORIZON) % day_rows, axis=1).astype(np.float64),
    }


def fit(channels: F64, train_end: int, validation_end: int) -> list[Ridge]:
    """One map of `LOOK_BACK_MAX` steps for each channel; `channels` is `[channels, rows]`, scaled."""
    alone = [Moments.of(windows(one, LOOK_BACK_MAX, train_end)) for one in channels]
    validation = [windows(one, train_end, validation_end) for one in channels]
    together = reduce(add, alone)
    shared = [best(together, look_back, validation) for look_back in LOOK_BACKS]
    return [
        mean_map([*shared, *(best(moments, look_back, [later]) for look_back in LOOK_BACKS)])
        for moments, later in zip(alone, validation, strict=True)
    ]


def best(moments: Moments, look_back: int, validation: list[Windows]) -> Ridge:
    """The map from the last `look_back` steps whose penalty serves the validation windows best."""
    # The windows of a shorter look-back are the ends of the longer ones: so are their sums.
    ends = replace(
        moments,
        recent=moments.recent[-look_back:],
        gram=moments.gram[-look_back:, -look_back:],
        product=moments.product[-look_back:],
    )
    maps = [ends.solve(lam) for lam in LAMBDAS]
    errors = [
        sum(mean_squared_error(one.predict(part.recent[:, -look_back:]), part.targets) for part in validation)
        for one in maps
    ]
    return maps[int(np.argmin(errors))]


def mean_map(maps: list[Ridge]) -> Ridge:
    """The one map whose forecast is the mean of theirs."""
    weights = np.zeros((LOOK_BACK_MAX, HORIZON))
    for one in maps:
        weights[-len(one.weights) :] += one.weights / len(maps)
    return Ridge(weights, np.mean([one.bias for one in maps], axis=0), float(np.mean([one.lam for one in maps])))


def windows(channel: F64, first: int, end: int) -> Windows:
    """Every window whose targets lie in rows `[first, end)`, relative to its last value."""
    origins = np.arange(first, end - HORIZON + 1)
    last = channel[origins - 1, np.newaxis]
    recent = sliding_window_view(channel, LOOK_BACK_MAX)[origins - LOOK_BACK_MAX] - last
    targets = sliding_window_view(channel, HORIZON)[origins] - last
    return Windows(recent.astype(np.float32), targets.astype(np.float32))


def read_channels(path: Path) -> F64:
    """Every column behind the date, `[rows, channels]`."""
    with gzip.open(path, "rt") as file:
        rows = csv.reader(file)
        next(rows)
        return np.array([row[1:] for row in rows], dtype=np.float64)
