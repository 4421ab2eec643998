"""A site as a source gives it: its series, and what is to be known of how it was read. Pure."""

from dataclasses import dataclass

from cloud_trainer.finding import Finding
from cloud_trainer.series import SiteSeries


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSite:
    """One site from any source."""

    series: SiteSeries
    # how it was read; what was measured is looked at by `cloud_trainer.checks`
    findings: tuple[Finding, ...] = ()
    # what one unit of its column is in watts: to tell errors in the unit of the file
    watts_per_unit: float = 1.0
    # what its main breaker lets through, when somebody said so
    rated_power_w: float | None = None
