"""Where nobody measured: stretches of steps. Pure.

Nothing is ever filled in. A gateway fills nothing, its models have a mask for what is not known, and an unknown
target teaches nothing: what was made up would only teach what no gateway sees.
"""

from typing import NamedTuple

import numpy as np

from gateway.contract.forecast_spec import DAY_US
from gateway.contract.inputs import I64, Mask

# Half a night, or half a working day: nobody can say what happened in there.
LONG_US = DAY_US // 4


class Runs(NamedTuple):
    """Stretches of consecutive steps: the first of each, and the one behind its last."""

    first: I64
    end: I64

    @property
    def steps(self) -> I64:
        """How long each is."""
        return self.end - self.first


def runs(mask: Mask) -> Runs:
    """The stretches in which `mask` is True."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return Runs(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))
