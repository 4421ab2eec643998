"""What a training is made from: the sites of a source, looked at, and those left that are fit. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from cloud_trainer.finding import Check
from cloud_trainer.selection import MinimumDays, Selection, SiteVerdict, require_sites, select
from cloud_trainer.series import SiteSeries
from cloud_trainer.sources.loaded import LoadedSite
from cloud_trainer.training_report import SiteReport


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Sites to train on, and what is to be said of all that were looked at."""

    words: str  # where they come from, for people
    sites: list[SiteSeries]
    verdicts: list[SiteVerdict]
    reports: list[SiteReport]
    # the same sites in finer steps, where the source keeps them apart; None: it does not
    fine_sites: list[SiteSeries] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def first_us(self) -> int:
        """Where the first of the sites begins."""
        return min(site.start_us for site in self.sites)

    @property
    def last_us(self) -> int:
        """Where the last of them ends."""
        return max(site.end_us for site in self.sites)


def gathered(
    words: str,
    sites: Iterable[LoadedSite],
    *,
    now_us: int,
    minimum_days: MinimumDays,
    accepted: Collection[Check] = (),
    fine_sites: Iterable[LoadedSite] | None = None,
) -> Dataset:
    """Look at each site, one after the other, and keep what is fit.

    Args:
        words: where they come from.
        sites: from any source.
        now_us: the present instant.
        minimum_days: what is asked of them.
        accepted: checks whose errors somebody takes.
        fine_sites: the same sites in finer steps.
    """
    told: list[SiteReport] = []
    selection = select(_noted(sites, told), now_us=now_us, minimum_days=minimum_days, accepted=accepted)
    reports = [
        replace(one, is_used=verdict.is_trained, findings=verdict.findings)
        for one, verdict in zip(told, selection.verdicts, strict=True)
    ]
    if fine_sites is None:
        return Dataset(words, _series(selection), selection.verdicts, reports)
    fine = select(fine_sites, now_us=now_us, minimum_days=minimum_days, accepted=accepted)
    notes = [
        f"{one.site} in fine steps: {'; '.join(f.sentence() for f in one.findings if f.severity == 'error')}"
        for one in fine.verdicts
        if not one.is_trained
    ]
    return Dataset(words, _series(selection), selection.verdicts, reports, _series(fine), notes)


def require_fit(dataset: Dataset) -> None:
    """See to it that something is left to train with.

    Raises:
        SettingError: there is nothing; names the sites and their errors.
    """
    if not dataset.sites:
        require_sites(Selection([], dataset.verdicts))


def _noted(sites: Iterable[LoadedSite], told: list[SiteReport]) -> Iterator[LoadedSite]:
    """The same sites; of each, `told` keeps what there was, and not what it measured."""
    for site in sites:
        told.append(_report(site.series))
        yield site


def _series(selection: Selection) -> list[SiteSeries]:
    return [site.series for site in selection.sites]


def _report(site: SiteSeries) -> SiteReport:
    return SiteReport(
        name=site.name,
        organisation=site.organisation,
        zone=site.zone.key,
        start_us=site.start_us,
        end_us=site.end_us,
        step_us=site.step_us,
        targets=list(site.targets),
        is_used=False,
        findings=[],
    )
