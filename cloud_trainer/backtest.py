"""What a site would have seen: the artefact over the test part, through the production host, as on the gateway.

Issue by issue the rolling calibration moves the band, and the standing says whether model or baseline speaks;
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
from gateway.contract.inputs import F64, I64
from gateway.contract.manifest import Training
from gateway.core.baseline import BASELINES, Baseline, quantiles_w
from gateway.core.calibration import calibrate_series
from gateway.core.scores import Scores
from gateway.core.standing import mixed_w, stand_series

# Windows whose past errors are sorted at once: some 20 MB each way.
_CHUNK = 64
_REHEARSAL = Training("backtest", "", 0, 0, {})


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was shown at each issue of a test part, W, and how good it was."""

    said_w: F64  # the artefact alone, `[n, rows, quantiles]`
    shown_w: F64  # after calibration, and mixed with the baseline where the model stood badly
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
    """What calibration and standing make of what the model said, and the model's share; each site for itself."""
    shown_w, share = said_w.copy(), np.ones(len(said_w))
    for number in np.unique(part.windows.site):
        mine = np.flatnonzero(part.windows.site == number)
        order = mine[np.argsort(part.windows.issued_us[mine], kind="stable")]
        at, known_w = part.windows.where(order), part.windows.actual_w[order]
        calibrated, _ = calibrate_series(part.spec, said_w[order], known_w, at.scale_w, at.issued_us)
        baselines = {name: one[order] for name, one in part.baselines_w.items()}
        stood = stand_series(part.spec, said_w[order][..., part.spec.median], baselines, known_w, at.issued_us)
        share[order] = stood.share
        names = tuple(baselines)
        for speaking in range(len(names)):
            rows = np.flatnonzero((stood.share < 1) & (stood.baseline == speaking))
            other_w = _band_w(part, sites[number], names[speaking], at.issued_us[rows])
            calibrated[rows] = mixed_w(stood.share[rows][:, np.newaxis, np.newaxis], calibrated[rows], other_w)
        shown_w[order] = calibrated
    if part.daylight is not None:
        shown_w = np.where(part.daylight[..., np.newaxis], np.maximum(shown_w, 0.0), 0.0)
    return shown_w, share


def _band_w(part: Judged, site: SiteSeries, name: Baseline, issued_us: I64) -> F64:
    """The baseline with its band, few windows at a time; `[n, rows, quantiles]`."""
    assert name in BASELINES[part.target]
    chunks = [issued_us[first : first + _CHUNK] for first in range(0, len(issued_us), _CHUNK)]
    pasts = (past_of(part.spec, site, part.target, one, part.known_days) for one in chunks)
    parts = [quantiles_w(name, part.spec, past) for past in pasts]
    return np.concatenate(parts) if parts else np.empty((0, part.spec.rows, len(part.spec.quantiles)))
