from cloud_trainer.sources.generated import home
from cloud_trainer.sources.loaded import LoadedSite


def test_a_site_that_was_measured_in_watts_has_nothing_to_tell():
    site = LoadedSite(home(1, 1))
    assert (site.findings, site.watts_per_unit, site.rated_power_w) == ((), 1.0, None)
