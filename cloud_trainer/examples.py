"""The few windows that stand for all: int8 takes its ranges from them, and a conversion is proven on them. Pure."""

import numpy as np

from gateway.contract.inputs import CHANNEL_NAMES, F64, I64, Inputs

# Enough to meet seasons, hours and levels; the proof of a conversion rests on at least 200.
EXAMPLES = 256
# One in eight is an extreme: beyond the range that int8 has seen it saturates.
_EXTREME_EVERY = 8
# Some travel in a bundle as text: so many digits are enough for a model, and every form sees the same numbers.
_DECIMALS = 3
_GOLDEN_RATIO = 0.618034
_KNOWN_CHANNELS = [channel for channel, name in enumerate(CHANNEL_NAMES) if name.endswith("_known")]


def examples(inputs: Inputs, issued_us: I64, scale_w: F64, count: int = EXAMPLES) -> Inputs:
    """At most `count` windows of the training part, spread over seasons, hours and levels, and its extremes.

    Args:
        inputs: the windows, `[n, ...]`.
        issued_us: when each was issued, `[n]`.
        scale_w: the spread of each, `[n]`: how much a site moves at that time.
        count: how many, all where there are fewer.
    """
    extreme = _extremes(inputs, count // _EXTREME_EVERY)
    rows = np.union1d(extreme, _spread(issued_us, scale_w, count - len(extreme)))
    return Inputs(*(tensor[rows] for tensor in inputs))


def rounded(inputs: Inputs) -> Inputs:
    """The same in short numbers, for those that travel."""
    return Inputs(*(np.round(tensor, _DECIMALS) for tensor in inputs))


def golden_rows(some: Inputs, count: int) -> I64:
    """Which `count` of the examples travel with the bundle: evenly spread, one in four with gaps where some have."""
    has_gaps = (some.steps[..., _KNOWN_CHANNELS] == 0).any(axis=(-2, -1))
    whole, gapped = np.flatnonzero(~has_gaps), np.flatnonzero(has_gaps)
    gapped = _even(gapped, max(count // 4, count - len(whole)))
    return np.union1d(_even(whole, count - len(gapped)), gapped)


def _extremes(inputs: Inputs, count: int) -> I64:
    """Windows that reach farthest from their last value, up or down, behind or ahead."""
    behind = np.abs(inputs.recent).max(axis=-1, initial=0)
    reach = np.maximum(behind, np.abs(inputs.steps).max(axis=(-2, -1), initial=0))
    return np.asarray(np.argsort(-reach, kind="stable")[:count])


def _spread(issued_us: I64, scale_w: F64, count: int) -> I64:
    """Rows that differ as much as they can: the time in equal parts, and of each part another level."""
    by_season = np.argsort(issued_us, kind="stable")
    rows = np.zeros(min(count, len(by_season)), dtype=np.int64)
    for part, season in enumerate(np.array_split(by_season, len(rows)) if len(rows) else ()):
        by_level = season[np.argsort(scale_w[season], kind="stable")]
        # Steps of the golden ratio visit low, middle and high levels alike.
        rows[part] = by_level[int(len(by_level) * (part * _GOLDEN_RATIO % 1.0))]
    return rows


def _even(rows: I64, count: int) -> I64:
    """`count` of the rows at equal distances."""
    count = min(count, len(rows))
    return np.asarray(rows[np.arange(count) * len(rows) // max(count, 1)])
