"""What others forecast with, on the very inputs that our models see.

Gradient-boosted trees on a table of good features win most contests of load forecasting (M5, Makridakis et al.
2022), so a model that is no better than they are has no business on a gateway. LightGBM is needed for
tests alone.
"""

from typing import NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Plain settings of their users; early stopping on validation is all the tuning that our own models get, too.
SETTINGS = {
    "objective": "l1",  # the median, as ours
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "num_threads": 2,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
TREES_MAX = 400
PATIENCE_TREES = 30
# A year of quarter hours makes 3 million rows; more than these teach the trees nothing.
TRAIN_ROWS_MAX = 400_000


class StepRows(NamedTuple):
    """The `steps` tensor of the contract for n windows, and what came."""

    steps: F32  # [n, rows, channels]
    targets: F32  # [n, rows], in the contract's units; NaN where unknown


def lightgbm_median(train: StepRows, validation: StepRows, steps: F32, seed: int = 0) -> F64:
    """What trees that learnt from `train`, one row for each step ahead, say of `steps`: the median, `[n, rows]`."""
    data = lightgbm.Dataset(*_table(train, seed), free_raw_data=True)
    booster = lightgbm.train(
        {**SETTINGS, "seed": seed},
        data,
        num_boost_round=TREES_MAX,
        valid_sets=[data.create_valid(*_table(validation, seed))],
        callbacks=[lightgbm.early_stopping(PATIENCE_TREES, verbose=False)],
    )
    said = booster.predict(_flat(steps), num_iteration=booster.best_iteration)
    return np.asarray(said, dtype=np.float64).reshape(steps.shape[:2])


def _table(windows: StepRows, seed: int) -> tuple[F32, F32]:
    """Features and targets of the known rows; of too many, a sample."""
    targets = windows.targets.ravel()
    rows = np.flatnonzero(~np.isnan(targets))
    if len(rows) > TRAIN_ROWS_MAX:
        rows = np.sort(np.random.default_rng(seed).choice(rows, TRAIN_ROWS_MAX, replace=False))
    return _flat(windows.steps)[rows], targets[rows]


def _flat(steps: F32) -> F32:
    return steps.reshape(-1, steps.shape[-1])
