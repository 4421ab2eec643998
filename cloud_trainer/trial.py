"""Bundles on recorded data: how good one is, and which of two is better, as gateways would show what they say.

Each model is asked for the part of the time that a training of today would judge by. Where a bundle has no model
for something, a gateway shows naive forecasts: so does this. A shell, for it starts the production host.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from cloud_trainer.artefact import inputs_of
from cloud_trainer.backtest import band_w, shown_as_on_a_gateway
from cloud_trainer.candidates import BETTER_SHARE_MIN
from cloud_trainer.dataset import Dataset
from cloud_trainer.host import Host
from cloud_trainer.judge import Judged, best_yardstick, judged, losses_w, site_weights
from cloud_trainer.plan import in_steps
from cloud_trainer.run import TEST_DAYS_MAX
from cloud_trainer.series import SiteSeries
from cloud_trainer.train import TrainConfig, test_begins, usual_config
from cloud_trainer.windows import Windows, joined, origins, windows
from firmware_bridge.errors import NotFoundError, SettingError
from gateway.contract.forecast_spec import LOAD, ForecastSpec
from gateway.contract.inputs import F64
from gateway.contract.manifest import (
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    BundleManifest,
    ForecastTarget,
    ManifestError,
    decode_manifest,
    forecast_name,
    forecast_spec,
)
from gateway.core.scores import Scores, better_share

# The same draws in every comparison: who asks twice gets one answer.
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one model is tried on."""

    name: str
    sites: list[SiteSeries]
    judged: Judged


class SiteTrial(NamedTuple):
    """One model on one site; `said` is the artefact alone, `shown` what a gateway makes of it."""

    model: str
    site: str
    said: Scores
    shown: Scores


class ModelDuel(msgspec.Struct, frozen=True):
    """Two bundles on the same windows of one model: errors and losses of what gateways would show, W.

    The shares are of resampled histories, whole days drawn, in which that one has the lower loss; where both say
    the same, neither has.
    """

    model: str
    issues: int
    a_mae_w: float
    b_mae_w: float
    a_pinball_w: float
    b_pinball_w: float
    a_better_share: float
    b_better_share: float


class Duel(msgspec.Struct, frozen=True):
    """Which of two bundles is better, model by model and on the whole."""

    models: list[ModelDuel]
    better: Literal["a", "b", "neither"]


def read_manifest(folder: Path) -> BundleManifest:
    """The manifest of the bundle in `folder`.

    Raises:
        NotFoundError: there is none.
        SettingError: it is not a bundle of this contract.
    """
    try:
        with (folder / MANIFEST_NAME).open("rb") as file:
            return decode_manifest(file.read(MANIFEST_BYTES_MAX + 1))
    except OSError as error:
        raise NotFoundError("bundle", str(folder), f"cannot be read ({error.strerror})", "name a bundle") from error
    except ManifestError as error:
        raise SettingError("bundle", str(folder), str(error), "train it anew with this version") from error


def tried(folder: Path, dataset: Dataset) -> list[SiteTrial]:
    """How good the bundle in `folder` is on each site, by its models.

    Raises:
        SettingError: there is no bundle.
        HostError: its models cannot be run.
    """
    manifest, found = read_manifest(folder), []
    with Host(folder) as host:
        for spec, target in forecasts(manifest):
            part = part_of(spec, target, dataset)
            if part is None:
                continue
            said_w = part.judged.meant_w(host.predict(part.name, inputs_of(part.judged.windows)))
            shown_w, _ = shown_as_on_a_gateway(part.judged, said_w, part.sites)
            for number in np.unique(part.judged.windows.site):
                rows = np.flatnonzero(part.judged.windows.site == number)
                mine = part.judged.where(rows)
                scores = (mine.scores(said_w[rows]), mine.scores(shown_w[rows]))
                found.append(SiteTrial(part.name, part.sites[number].name, *scores))
    return found


def duel(a: Path, b: Path, dataset: Dataset) -> Duel:
    """The bundles in two folders on the same windows.

    The second is better when one of its models is, in `BETTER_SHARE_MIN` of resampled histories, and none of
    the first is.

    Raises:
        SettingError: one of them is no bundle.
        HostError: models of one cannot be run.
    """
    manifests = read_manifest(a), read_manifest(b)
    asked = dict.fromkeys([one for manifest in manifests for one in forecasts(manifest)])
    models = []
    with Host(a) as host_a, Host(b) as host_b:
        for spec, target in asked:
            part = part_of(spec, target, dataset)
            if part is None:
                continue
            models.append(_duel_of(part, host_a, host_b))
    return Duel(models, _better(models))


def forecasts(manifest: BundleManifest) -> list[tuple[ForecastSpec, ForecastTarget]]:
    """What the bundle can be asked for."""
    return [
        (forecast_spec(model.kind, model.task), model.task.target)
        for model in manifest.models
        if model.task is not None and model.kind in ("energy_forecast", "load_prediction")
    ]


def part_of(spec: ForecastSpec, target: ForecastTarget, dataset: Dataset) -> Part | None:
    """The part of each site's time that a training of today judges by; None where no site has one."""
    fine = dataset.fine_sites if dataset.fine_sites is not None and spec.step_us <= LOAD.step_us else dataset.sites
    sites = in_steps(spec, [site for site in fine if target in site.targets])
    config = replace(usual_config(spec, target), test_days_max=TEST_DAYS_MAX)
    found = [_windows_of(config, sites, number) for number in range(len(sites))]
    if not any(len(one) for one in found):
        return None
    spread_w = [np.nanstd(site.power_w(target)[: test_begins(config, len(site))]) for site in sites]
    part = judged(spec, sites, target, joined(found), float(np.mean(spread_w)))
    return Part(forecast_name(spec, target), sites, part)


def _shown_w(part: Part, host: Host) -> F64:
    """What gateways with this bundle would show, `[n, rows, quantiles]`."""
    if part.name in host.names:
        said_w = part.judged.meant_w(host.predict(part.name, inputs_of(part.judged.windows)))
        return shown_as_on_a_gateway(part.judged, said_w, part.sites)[0]
    shown_w = np.empty((*part.judged.counts.shape, len(part.judged.spec.quantiles)))
    for number in np.unique(part.judged.windows.site):
        rows = np.flatnonzero(part.judged.windows.site == number)
        mine = part.judged.where(rows)
        shown_w[rows] = band_w(mine, part.sites[number], best_yardstick(mine))
    return shown_w


def _duel_of(part: Part, host_a: Host, host_b: Host) -> ModelDuel:
    shown_a_w, shown_b_w = _shown_w(part, host_a), _shown_w(part, host_b)
    a, b = part.judged.scores(shown_a_w), part.judged.scores(shown_b_w)
    by_site = site_weights(part.judged)
    losses_a, losses_b = (losses_w(part.judged, one) * by_site for one in (shown_a_w, shown_b_w))

    def share(better: F64, worse: F64) -> float:
        return better_share(better, worse, part.judged.day, np.random.default_rng(_SEED))

    return ModelDuel(
        model=part.name,
        issues=a.issues,
        a_mae_w=a.mae_w,
        b_mae_w=b.mae_w,
        a_pinball_w=a.pinball_w,
        b_pinball_w=b.pinball_w,
        a_better_share=share(losses_a, losses_b),
        b_better_share=share(losses_b, losses_a),
    )


def _better(models: Sequence[ModelDuel]) -> Literal["a", "b", "neither"]:
    a_wins = any(one.a_better_share >= BETTER_SHARE_MIN for one in models)
    b_wins = any(one.b_better_share >= BETTER_SHARE_MIN for one in models)
    if a_wins == b_wins:
        return "neither"
    return "b" if b_wins else "a"


def _windows_of(config: TrainConfig, sites: Sequence[SiteSeries], number: int) -> Windows:
    site = sites[number]
    most = max(1, config.judged_max // len(sites))
    first = test_begins(config, len(site)) + config.spec.horizon_steps
    at = origins(config.spec, first, len(site), most)
    return windows(config.spec, site, config.target, at, number=number)
