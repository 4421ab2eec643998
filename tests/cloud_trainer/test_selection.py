from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.checks import MINIMUM_DAYS, SEED_MINIMUM_DAYS
from cloud_trainer.finding import Finding
from cloud_trainer.selection import MinimumDays, read_accepted, read_minimum_days, require_sites, select
from cloud_trainer.sources.generated import home
from cloud_trainer.sources.loaded import LoadedSite
from firmware_bridge.errors import SettingError

GOOD = LoadedSite(home(3, 40, solar=True))
NOW_US = GOOD.series.end_us
DAYS = MinimumDays()


def with_series(**change) -> LoadedSite:
    return replace(GOOD, series=replace(GOOD.series, **change))


BAD = with_series(name="flat", consumption_w=np.ones(len(GOOD.series)))


def test_a_site_with_an_error_is_left_out_and_named():
    selection = select([GOOD, BAD], now_us=NOW_US, minimum_days=DAYS)
    assert [one.series.name for one in selection.sites] == ["home-3"]
    assert [one.is_trained for one in selection.verdicts] == [True, False]
    assert selection.verdicts[1].lines()[0] == "generated/flat: 40 days, left out"
    assert "error constant" in selection.verdicts[1].lines()[1]


def test_panels_alone_can_be_left_out():
    dark = with_series(production_w=np.zeros(len(GOOD.series)))
    selection = select([dark], now_us=NOW_US, minimum_days=DAYS)
    assert selection.sites[0].series.targets == ("consumption_w",)
    assert [one.check for one in selection.verdicts[0].findings] == ["constant"]


def test_what_the_source_found_counts():
    told = replace(GOOD, findings=(Finding("duplicated_hours", "error", "a", "b"),))
    assert select([told], now_us=NOW_US, minimum_days=DAYS).sites == []
    accepted = select([told], now_us=NOW_US, minimum_days=DAYS, accepted=["duplicated_hours"])
    assert len(accepted.sites) == 1
    assert accepted.verdicts[0].findings[0].severity == "warning"


def test_an_organisation_may_ask_for_more_days():
    asked = read_minimum_days(["generated=seed"])
    selection = select([GOOD], now_us=NOW_US, minimum_days=asked)
    assert [one.check for one in selection.verdicts[0].findings] == ["too_short", "too_short"]


def test_minimum_days_are_read():
    assert read_minimum_days([]) == MinimumDays(MINIMUM_DAYS)
    read = read_minimum_days(["60", "acme=seed"])
    assert (read.of("acme"), read.of("other")) == (SEED_MINIMUM_DAYS, 60)
    for wrong in ("0", "-1", "many", "9999", "acme=", "1" * 20):
        with pytest.raises(SettingError, match="--min-days"):
            read_minimum_days([wrong])


def test_a_check_that_is_none_cannot_be_accepted():
    assert read_accepted(["stuck"]) == ["stuck"]
    with pytest.raises(SettingError, match="is no check"):
        read_accepted(["everything"])


def test_with_no_site_left_a_sentence_names_the_checks():
    require_sites(select([GOOD], now_us=NOW_US, minimum_days=DAYS))
    with pytest.raises(SettingError, match=r"none can be trained: flat \(constant\)"):
        require_sites(select([BAD], now_us=NOW_US, minimum_days=DAYS))
    with pytest.raises(SettingError, match="there are none"):
        require_sites(select([], now_us=NOW_US, minimum_days=DAYS))
