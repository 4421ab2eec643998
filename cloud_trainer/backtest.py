"""What a site would have seen: the artefact over the test part, through the production host, as on the gateway.

Issue by issue the standing says whether model or baseline speaks, and the rolling calibration moves the band;
both know at each instant what a gateway would know. A shell, for it starts the host.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloud_trainer.artefact import inputs_of
from cloud_trainer.bundle import BundledModel, write_bundle
from cloud_trainer.host import Host
from cloud_trainer.judge import Judged, past_of
from cloud_trainer.series import SiteSeries
from gateway.contract.inputs import F64
from gateway.contract.manifest import Training
from gateway.core.baseline import Baseline, quantiles_w
from gateway.core.calibration import calibrate_series
from gateway.core.forecast import within
from gateway.core.scores import Scores
from gateway.core.standing import mixed_w, stand_series

# Windows whose past errors are sorted at once: some 20 MB each way.
_CHUNK = 64
_REHEARSAL = Training("backtest", "", 0, 0, {})


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was shown at each issue of a test part, W, and how good it was."""

    said_w: F64  # the artefact alone, `[n, rows, quantiles]`
    shown_w: F64  # mixed with the baseline where the model stood badly, and calibrated
    share: F64  # of the model, `[n]`
    said: Scores
    shown: Scores


def replay(model: BundledModel, part: Judged, sites: list[SiteSeries]) -> Seen:
    """Ask the artefact `model` for every window of `part` and show it as a gateway would.

    Raises:
        HostError: the host refuses it, or falls silent.
    """
    with tempfile.TemporaryDirectory(prefix="smartwatts-backtest-") as scratch:
        write_bundle(Path(scratch), [model], _REHEARSAL, "A backtest.\n", created_us=0)
        with Host(Path(scratch)) as host:
            output = host.predict(model.name, inputs_of(part.windows))
    said_w = part.meant_w(output)
    shown_w, share = shown_as_on_a_gateway(part, said_w, sites)
    return Seen(said_w, shown_w, share, part.scores(said_w), part.scores(shown_w))


def shown_as_on_a_gateway(part: Judged, said_w: F64, sites: list[SiteSeries]) -> tuple[F64, F64]:
    """What standing and calibration make of what the model said, and the model's share; each site for itself."""
    shown_w, share = said_w.copy(), np.ones(len(said_w))
    for number in np.unique(part.windows.site):
        mine = np.flatnonzero(part.windows.site == number)
        order = mine[np.argsort(part.windows.issued_us[mine], kind="stable")]
        shown_w[order], share[order] = _at_one_site(part.where(order), said_w[order], sites[number])
    return shown_w, share


def _at_one_site(part: Judged, said_w: F64, site: SiteSeries) -> tuple[F64, F64]:
    """As `gateway.core.track` goes: who speaks, the mix of both, its band, and nothing that cannot be."""
    spec, windows = part.spec, part.windows
    is_day = part.possible.highest_w > 0
    baselines_w = {name: np.where(is_day, one, np.nan) for name, one in part.baselines_w.items()}
    stood = stand_series(spec, said_w[..., spec.median], baselines_w, windows.actual_w, windows.issued_us)
    spoken_w = said_w.copy()
    for speaking, name in enumerate(baselines_w):
        rows = np.flatnonzero((stood.share < 1) & (stood.baseline == speaking))
        other_w = band_w(part.where(rows), site, name)
        spoken_w[rows] = mixed_w(stood.share[rows][:, np.newaxis, np.newaxis], spoken_w[rows], other_w)
    calibrated_w, _ = calibrate_series(spec, spoken_w, windows.actual_w, windows.scale_w, windows.issued_us)
    return within(spec, calibrated_w, part.possible), stood.share


def band_w(part: Judged, site: SiteSeries, name: Baseline) -> F64:
    """The baseline with its band, few windows at a time; `[n, rows, quantiles]`."""
    found = np.empty((len(part.windows), part.spec.rows, len(part.spec.quantiles)))
    for first in range(0, len(found), _CHUNK):
        rows = slice(first, first + _CHUNK)
        past = past_of(part.spec, site, part.target, part.windows.issued_us[rows], part.known_days)
        found[rows] = quantiles_w(name, part.spec, past)
    return within(part.spec, found, part.possible)
