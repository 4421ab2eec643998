from dataclasses import replace

import pytest

from cloud_trainer.dataset import gathered, require_fit
from cloud_trainer.selection import MinimumDays
from cloud_trainer.sources.loaded import LoadedSite
from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import DAY_US
from tests.sim.site_series import START_US, rhythm

NOW_US = START_US + 400 * DAY_US


def loaded(name, days, **more):
    return LoadedSite(replace(rhythm(days, **more), name=name))


def look(*sites, fine=None):
    return gathered("recordings", sites, now_us=NOW_US, minimum_days=MinimumDays(), fine_sites=fine)


def test_what_is_unfit_is_left_out_and_told_of():
    dataset = look(loaded("old", 40, solar=True), loaded("young", 3))
    assert [site.name for site in dataset.sites] == ["old"]
    assert [(one.name, one.is_used, one.targets) for one in dataset.reports] == [
        ("old", True, ["consumption_w", "production_w"]),
        ("young", False, ["consumption_w"]),
    ]
    assert [finding.check for finding in dataset.reports[1].findings] == ["too_short"]
    assert (dataset.first_us, dataset.last_us) == (START_US, START_US + 40 * DAY_US)
    assert dataset.fine_sites is None
    require_fit(dataset)


def test_finer_steps_are_looked_at_for_themselves():
    fine = [loaded("old", 30), loaded("seldom", 2)]
    dataset = look(loaded("old", 40), loaded("seldom", 40), fine=fine)
    assert [site.name for site in dataset.sites] == ["old", "seldom"]
    assert [site.name for site in dataset.fine_sites] == ["old"]
    assert len(dataset.notes) == 1
    assert dataset.notes[0].startswith("seldom in fine steps: error too_short consumption_w: 2 days")


def test_nothing_fit_ends_with_the_sites_and_their_checks_named():
    with pytest.raises(SettingError, match=r"none can be trained: young \(too_short\)"):
        require_fit(look(loaded("young", 3)))
