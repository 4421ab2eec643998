"""Which sites are trained: what their sources told and what their checks found, put together. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, get_args

import msgspec

from cloud_trainer.checks import MINIMUM_DAYS, SEED_MINIMUM_DAYS, Limits, check_series
from cloud_trainer.finding import CHECKS, Check, Finding
from cloud_trainer.sources.loaded import LoadedSite
from firmware_bridge.errors import SettingError

# "seed" stands for what the first of our predecessors asked for.
SEED_PRESET = "seed"
_DAYS_MAX = 3_660
# What is named of many sites in one sentence.
_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class MinimumDays:
    """How many measured days a site must have, by organisation."""

    everywhere: int = MINIMUM_DAYS
    by_organisation: dict[str, int] = field(default_factory=dict)

    def of(self, organisation: str) -> int:
        """What is asked of the organisation's sites."""
        return self.by_organisation.get(organisation, self.everywhere)


class SiteVerdict(msgspec.Struct, frozen=True):
    """Whether a site is trained, and all that was found."""

    organisation: str
    site: str
    days: float
    is_trained: bool
    findings: list[Finding]

    def lines(self) -> list[str]:
        """For people: the site, and below it what was found."""
        fate = "trained" if self.is_trained else "left out"
        return [
            f"{self.organisation}/{self.site}: {self.days:.0f} days, {fate}",
            *(f"  {finding.sentence()}" for finding in self.findings),
        ]


class Selection(NamedTuple):
    """The sites that are trained, without what is unfit of them, and the verdict on each site."""

    sites: list[LoadedSite]
    verdicts: list[SiteVerdict]


def select(
    sites: Iterable[LoadedSite], *, now_us: int, minimum_days: MinimumDays, accepted: Collection[Check] = ()
) -> Selection:
    """Look at each site, and keep those without an error.

    Args:
        sites: from any source, one after the other.
        now_us: the present instant.
        minimum_days: what is asked of them.
        accepted: checks whose errors somebody has looked at and takes.
    """
    kept, verdicts = [], []
    for site in sites:
        fit, verdict = _examine(site, now_us, minimum_days.of(site.series.organisation), accepted)
        verdicts.append(verdict)
        if fit is not None:
            kept.append(fit)
    return Selection(kept, verdicts)


def require_sites(selection: Selection) -> None:
    """See to it that something is left to train with.

    Raises:
        SettingError: there is nothing; names the sites and their errors.
    """
    if selection.sites:
        return
    reasons = [
        f"{one.site} ({', '.join(dict.fromkeys(f.check for f in one.findings if f.severity == 'error'))})"
        for one in selection.verdicts
    ]
    named = ", ".join(reasons[:_SHOWN_MAX]) + (" and others" if len(reasons) > _SHOWN_MAX else "") or "there are none"
    next_step = "do what the checks above say, or accept one by its name"
    raise SettingError("--data", f"{len(reasons)} sites", f"none can be trained: {named or 'none'}", next_step)


def read_minimum_days(given: Sequence[str]) -> MinimumDays:
    """What `--min-days` was given: DAYS or "seed", also for one organisation: acme=180.

    Raises:
        SettingError: one is neither.
    """
    everywhere, by_organisation = MINIMUM_DAYS, {}
    for one in given:
        organisation, equals, text = one.rpartition("=")
        days = SEED_MINIMUM_DAYS if text == SEED_PRESET else int(text) if text.isdecimal() and len(text) < 9 else 0
        if not 0 < days <= _DAYS_MAX:
            next_step = f'write a number up to {_DAYS_MAX}, or "{SEED_PRESET}", or acme=180'
            raise SettingError("--min-days", repr(one), "is no number of days", next_step)
        if equals:
            by_organisation[organisation] = days
        else:
            everywhere = days
    return MinimumDays(everywhere, by_organisation)


def read_accepted(given: Sequence[str]) -> list[Check]:
    """The checks that `--accept` names.

    Raises:
        SettingError: there is none of that name.
    """
    for one in given:
        if one not in CHECKS:
            raise SettingError("--accept", repr(one), "is no check", f"name one of {', '.join(CHECKS)}")
    return [check for check in get_args(Check) if check in given]


def _examine(
    site: LoadedSite, now_us: int, minimum_days: int, accepted: Collection[Check]
) -> tuple[LoadedSite | None, SiteVerdict]:
    findings = [_lenient(one, accepted) for one in site.findings]
    if not any(one.severity == "error" for one in findings):
        # Where it is not even clear what was measured when, there is nothing to look at.
        limits = Limits(now_us, minimum_days, site.rated_power_w)
        findings += [_lenient(one, accepted) for one in check_series(site.series, limits)]
    unfit = {one.target for one in findings if one.severity == "error"}
    fit: LoadedSite | None = site
    if unfit == {"production_w"}:
        fit = replace(site, series=replace(site.series, production_w=None))
    elif unfit:
        fit = None
    series = site.series
    return fit, SiteVerdict(series.organisation, series.name, round(series.span_days, 2), fit is not None, findings)


def _lenient(finding: Finding, accepted: Collection[Check]) -> Finding:
    if finding.severity == "error" and finding.check in accepted:
        return msgspec.structs.replace(finding, severity="warning")
    return finding
