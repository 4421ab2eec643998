"""Every check on a series that is wrong in one way, and on many that are right."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cloud_trainer.checks import MINIMUM_DAYS, POWER_W_MAX, Limits, check_series
from cloud_trainer.series import SiteSeries
from cloud_trainer.sources.generated import home, workshop
from gateway.contract.forecast_spec import DAY_US, ENERGY

DAY = ENERGY.day_steps
DAYS = 40
GOOD = home(3, DAYS, solar=True)
LATER_US = GOOD.end_us + DAY_US


def consuming(power_w) -> SiteSeries:
    return replace(GOOD, consumption_w=np.asarray(power_w, dtype=np.float64), production_w=None)


def checked(series, **limits):
    return {(one.check, one.severity) for one in check_series(series, Limits(LATER_US, **limits))}


def changed(first, end, value):
    """The good series with something else in some of its steps."""
    power_w = GOOD.consumption_w.copy()
    power_w[first:end] = value(power_w[first:end]) if callable(value) else value
    return consuming(power_w)


@pytest.mark.parametrize("seed", range(4))
def test_generated_sites_are_found_fit(seed):
    for site in (home(seed, DAYS, solar=True), workshop(seed, 80)):
        assert check_series(site, Limits(site.end_us)) == []


def test_nothing_measured_is_one_error():
    assert checked(consuming(np.full(DAYS * DAY, np.nan))) == {("no_values", "error")}


@pytest.mark.parametrize("value", [0.0, 230.0])
def test_one_value_for_ever_is_one_error(value):
    assert checked(consuming(np.full(DAYS * DAY, value))) == {("constant", "error")}


def test_two_days_are_too_short():
    assert checked(GOOD.part(0, 2 * DAY)) == {("too_short", "error")}


def test_a_site_is_long_enough_with_as_many_days_as_are_asked_for():
    assert checked(replace(GOOD, zone=ZoneInfo("UTC")).part(0, MINIMUM_DAYS * DAY)) == set()
    assert checked(GOOD.part(0, MINIMUM_DAYS * DAY), minimum_days=180) == {("too_short", "error")}


def test_days_that_nobody_measured_do_not_count():
    assert ("too_short", "error") in checked(changed(5 * DAY, 25 * DAY, np.nan))


def test_a_long_gap_is_told_and_hardly_anything_but_gaps_is_an_error():
    assert checked(changed(5 * DAY, 5 * DAY + 30, np.nan)) == {("gaps", "warning")}
    every_other = GOOD.consumption_w.copy()
    every_other[::3] = np.nan
    assert checked(consuming(every_other)) == {("gaps", "error")}


def test_a_sign_turned_round_is_an_error_and_a_little_feed_in_is_told():
    assert ("negative", "error") in checked(consuming(-GOOD.consumption_w))
    a_little = GOOD.consumption_w.copy()
    a_little[::20] *= -1
    assert checked(consuming(a_little)) == {("negative", "warning")}
    assert checked(consuming(GOOD.consumption_w - 1)) == set(), "a meter is a watt off"


@pytest.mark.parametrize("scale", [1e-3, 1e7])
def test_all_of_it_in_another_unit_is_an_error(scale):
    assert ("unit", "error") in checked(consuming(GOOD.consumption_w * scale))


def test_what_the_breaker_does_not_let_through_is_an_error():
    most_w = float(GOOD.consumption_w.max())
    assert checked(consuming(GOOD.consumption_w), rated_power_w=most_w) == set()
    assert checked(consuming(GOOD.consumption_w), rated_power_w=most_w / 2) == {("unit", "error")}
    assert most_w * 2 < POWER_W_MAX


@pytest.mark.parametrize("scale", [1e3, 1e-3])
@pytest.mark.parametrize(("first", "end"), [(10, 12), (10, 30), (0, 20)])
def test_days_in_another_unit_are_an_error(first, end, scale):
    found = checked(changed(first * DAY, end * DAY, lambda power_w: power_w * scale))
    assert ("unit_jump", "error") in found


def test_a_workshop_in_another_unit_for_half_a_week_is_an_error():
    site = workshop(0, DAYS)
    power_w = site.consumption_w.copy()
    power_w[10 * DAY : 14 * DAY] /= 1e3
    found = check_series(replace(site, consumption_w=power_w), Limits(site.end_us))
    assert [one.check for one in found] == ["unit_jump"]
    assert "4 days from" in found[0].found


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_hours_in_another_unit_are_an_error(steps):
    assert ("unit_jump", "error") in checked(changed(1000, 1000 + steps, lambda power_w: power_w * 1e3))


def test_a_business_that_switches_all_off_for_sundays_is_fit():
    power_w = 5e3 + 1e3 * np.sin(np.arange(DAYS * DAY))
    rests = np.arange(DAYS * DAY) // DAY % 7 == 6
    assert checked(consuming(np.where(rests, power_w / 1e3, power_w))) == set()


def test_panels_under_snow_are_fit():
    assert GOOD.production_w is not None
    snowed = GOOD.production_w.copy()
    snowed[10 * DAY : 15 * DAY] /= 1e3
    assert checked(replace(GOOD, production_w=snowed)) == set()


def test_a_meter_that_repeats_itself_is_told_and_one_that_mostly_does_is_an_error():
    assert checked(changed(5 * DAY, 7 * DAY, 812.0)) == {("stuck", "warning")}
    assert ("stuck", "error") in checked(changed(5 * DAY, 30 * DAY, 812.0))
    assert checked(changed(5 * DAY, 6 * DAY - 10, 812.0)) == set()


def test_values_from_days_ahead_are_an_error():
    found = check_series(GOOD, Limits(GOOD.end_us - 5 * DAY_US))
    assert {one.check for one in found} == {"future"}


def test_a_finding_says_of_which_power_it_is():
    assert GOOD.production_w is not None
    turned = replace(GOOD, production_w=-GOOD.production_w)
    (finding,) = check_series(turned, Limits(LATER_US))
    assert (finding.check, finding.target) == ("negative", "production_w")
