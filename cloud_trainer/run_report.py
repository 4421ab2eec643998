"""What a training run did, as its report: who competed, what ships, and how good that is on each site. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np

from cloud_trainer.backtest import Seen
from cloud_trainer.candidates import Row
from cloud_trainer.form_trials import Settled
from cloud_trainer.judge import YARDSTICKS, best_yardstick
from cloud_trainer.plan import ModelPlan
from cloud_trainer.point import with_band
from cloud_trainer.train import Trained
from cloud_trainer.training_report import Candidate, ModelReport, Part, Samples, SeedScores, SiteScores
from cloud_trainer.training_samples import samples
from cloud_trainer.windows import Windows
from gateway.contract.inputs import F64
from gateway.core.scores import Scores

# What ships, beside those who competed to.
SHOWN = "as a gateway shows it"
# More pictures nobody looks at.
_PICTURED_SITES_MAX = 3


def shipped_report(plan: ModelPlan, trained: Trained, settled: Settled, seen: Seen) -> ModelReport:
    """A model that goes into the bundle."""
    name, size = f"{trained.chosen}, as shipped", len(settled.model.data)
    seed = trained.config.seeds[0]
    remark = "calibrated, and the better naive forecast speaks where it stood badly"
    shipped = [
        Candidate(name, [SeedScores(seed, seen.said)], bytes=size, remark="taught again on all before the test part"),
        Candidate(SHOWN, [SeedScores(seed, seen.shown)], bytes=size, remark=remark),
    ]
    said = {name: seen.said_w, SHOWN: seen.shown_w}
    found = _left_out(plan, trained)
    return msgspec.structs.replace(
        found,
        candidates=[*found.candidates, *shipped],
        chosen=name,
        blend_weights={"towers": trained.forecaster.weight} if trained.forecaster is not None else {},
        form=settled.model.form,
        form_reason=settled.model.form_reason,
        bytes=size,
        forms=settled.trials,
        sites=[_site_scores(plan, trained, number, said) for number in _sites_judged(trained)],
        samples=[_samples(plan, trained, number, seen) for number in _sites_judged(trained)[:_PICTURED_SITES_MAX]],
    )


def left_out_report(plan: ModelPlan, trained: Trained, reason: str) -> ModelReport:
    """A model that was trained and does not ship, and why: naive forecasts speak in its place."""
    return msgspec.structs.replace(_left_out(plan, trained), chosen_reason=reason)


def mean_skill(report: ModelReport) -> float:
    """Of the artefact alone, over the sites: each counts alike; NaN where nothing can be told."""
    skills = np.array([site.scores[report.chosen].skill for site in report.sites])
    known = skills[np.isfinite(skills)]
    return float(known.mean()) if known.size else float("nan")


def figures(scores: Scores, *, watts_per_unit: float = 1.0) -> dict[str, float]:
    """The few figures that are told of a model everywhere; powers in units of so many watts."""
    return {
        "mae": scores.mae_w / watts_per_unit,
        "rmse": scores.rmse_w / watts_per_unit,
        "r2": scores.r2,
        "skill": scores.skill,
        "pinball": scores.pinball_w / watts_per_unit,
        "coverage": scores.coverage,
    }


def _left_out(plan: ModelPlan, trained: Trained) -> ModelReport:
    spec, data = plan.spec, trained.data
    naive = best_yardstick(trained.validation)
    return ModelReport(
        name=plan.name,
        kind=spec.kind,
        target=plan.target,
        step_us=spec.step_us,
        horizon_steps=spec.horizon_steps,
        quantiles=list(spec.quantiles),
        train_sd_w=data.train_sd_w,
        parts={"train": _part(data.train), "validation": _part(data.validation), "test": _part(data.test)},
        candidates=[_candidate(row, trained.config.seeds) for row in trained.rows],
        chosen=naive,
        chosen_reason=trained.reason,
        blend_weights={},
        form=None,
        form_reason="nothing ships",
        bytes=0,
        forms=[],
        sites=[_site_scores(plan, trained, number, {}) for number in _sites_judged(trained)],
        samples=[],
    )


def _part(windows: Windows) -> Part:
    return Part(int(windows.issued_us.min()), int(windows.issued_us.max()), len(windows))


def _candidate(row: Row, seeds: Sequence[int]) -> Candidate:
    # What has no chance in it has one score, whatever the seeds.
    told: Sequence[int | None] = seeds if len(row.test) > 1 else [seeds[0] if row.train_s else None]
    return Candidate(
        name=row.name,
        seeds=[SeedScores(seed, scores) for seed, scores in zip(told, row.test, strict=False)],
        role="baseline" if row.is_naive else "candidate",
        parameters=row.parameters,
        train_s=row.train_s or None,
        beaten_share=row.beaten_share,
        remark=row.remark,
    )


def _sites_judged(trained: Trained) -> list[int]:
    """The sites of which something can be told."""
    return [int(number) for number in np.unique(trained.data.test.site[trained.test.counts.any(axis=-1)])]


def _site_scores(plan: ModelPlan, trained: Trained, number: int, said: dict[str, F64]) -> SiteScores:
    rows = trained.data.test.site == number
    part, learnt_on = trained.test.where(rows), trained.validation.where(trained.data.validation.site == number)
    scores = {name: part.scores(one[rows]) for name, one in said.items()}
    for name in YARDSTICKS[plan.target]:
        spread = with_band(learnt_on, learnt_on.baselines_w[name])
        scores[name] = part.scores(spread(part.baselines_w[name], part))
    return SiteScores(plan.sites[number].name, scores)


def _samples(plan: ModelPlan, trained: Trained, number: int, seen: Seen) -> Samples:
    rows = np.flatnonzero(trained.data.test.site == number)
    rows = rows[np.argsort(trained.data.test.issued_us[rows], kind="stable")]
    part = trained.test.where(rows)
    naive, site = best_yardstick(part), plan.sites[number]
    return samples(
        plan.spec,
        site.name,
        site.zone,
        part.windows.issued_us,
        actual_w=np.where(part.counts, part.windows.actual_w, np.nan),
        said_w=seen.said_w[rows],
        baseline=naive,
        baseline_w=part.baselines_w[naive],
        calibrated_w=seen.shown_w[rows],
    )
