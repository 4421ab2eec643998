"""Which models a training makes, and of which sites: what their steps and meters allow. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW, MINUTE_US, ForecastKind, ForecastSpec
from gateway.contract.manifest import ForecastTarget, forecast_name

# What a gateway can ask; how much power panels give in the next hour nobody has asked for yet.
ASKED: tuple[tuple[ForecastSpec, ForecastTarget], ...] = (
    (ENERGY, "consumption_w"),
    (ENERGY, "production_w"),
    (LOAD, "consumption_w"),
    (LOAD_SLOW, "consumption_w"),
)
# What is named of many sites in one sentence.
_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True, eq=False)
class ModelPlan:
    """One model and the sites that teach it, in its steps."""

    spec: ForecastSpec
    target: ForecastTarget
    sites: Sequence[SiteSeries]

    @property
    def name(self) -> str:
        """How a gateway asks for it."""
        return forecast_name(self.spec, self.target)


def planned(
    sites: Sequence[SiteSeries], kinds: Collection[ForecastKind], fine_sites: Sequence[SiteSeries] | None = None
) -> tuple[list[ModelPlan], list[str]]:
    """The models that can be trained on these sites, and a sentence on each that cannot, or not on all of them.

    Args:
        sites: to train on.
        kinds: what is wanted.
        fine_sites: the same in finer steps, for those models that need them; None: `sites` are as fine as they get.
    """
    plans, notes = [], []
    for spec, target in ASKED:
        if spec.kind not in kinds:
            continue
        name = forecast_name(spec, target)
        as_fine = sites if fine_sites is None or spec.step_us > LOAD.step_us else fine_sites
        having = [site for site in as_fine if target in site.targets]
        if not having:
            notes.append(f"{name} is left out: no site has a meter for it")
            continue
        fine = in_steps(spec, having)
        if fine:
            plans.append(ModelPlan(spec, target, fine))
        if len(fine) < len(having):
            coarse = [site for site in having if spec.step_us % site.step_us]
            notes.append(f"{name} {'does without' if fine else 'is left out:'} {_too_coarse(spec, coarse)}")
    return plans, notes


def in_steps(spec: ForecastSpec, sites: Sequence[SiteSeries]) -> list[SiteSeries]:
    """Those whose steps are as fine as the spec's or finer, in the spec's."""
    return [site.coarser(spec.step_us) for site in sites if spec.step_us % site.step_us == 0]


def _too_coarse(spec: ForecastSpec, coarse: Sequence[SiteSeries]) -> str:
    named = ", ".join(f"{site.name} ({site.step_us / MINUTE_US:g} min)" for site in coarse[:_SHOWN_MAX])
    more = f" and {len(coarse) - _SHOWN_MAX} others" if len(coarse) > _SHOWN_MAX else ""
    return f"{named}{more}, whose steps make no {spec.step_us / MINUTE_US:g} min"
