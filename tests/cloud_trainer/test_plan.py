from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.plan import in_steps, planned
from cloud_trainer.series import SiteSeries
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD, LOAD_SLOW, MINUTE_US

KINDS = ("energy_forecast", "load_prediction")


def site(name, minutes, *, solar=False):
    steps = 2 * DAY_US // (minutes * MINUTE_US)
    power_w = np.arange(steps, dtype=np.float64)
    return SiteSeries(name, "acme", ZoneInfo("UTC"), 0, minutes * MINUTE_US, power_w, power_w if solar else None)


def names(plans):
    return [(plan.name, [one.name for one in plan.sites]) for plan in plans]


def test_every_model_is_made_of_the_sites_that_are_fine_enough_for_it():
    plans, notes = planned([site("fine", 5, solar=True), site("quarter", 15), site("hourly", 60)], KINDS)
    assert names(plans) == [
        ("energy_forecast_consumption_96x15min", ["fine", "quarter"]),
        ("energy_forecast_production_96x15min", ["fine"]),
        ("load_prediction_consumption_12x5min", ["fine"]),
        ("load_prediction_consumption_4x15min", ["fine", "quarter"]),
    ]
    assert notes == [
        "energy_forecast_consumption_96x15min does without hourly (60 min), whose steps make no 15 min",
        "load_prediction_consumption_12x5min does without quarter (15 min), hourly (60 min), "
        "whose steps make no 5 min",
        "load_prediction_consumption_4x15min does without hourly (60 min), whose steps make no 15 min",
    ]
    assert {one.step_us for plan in plans for one in plan.sites if plan.spec == ENERGY} == {ENERGY.step_us}


def test_what_nobody_measures_and_what_nobody_wants_is_not_made():
    plans, notes = planned([site("hourly", 60)], ["energy_forecast"])
    assert plans == []
    assert notes == [
        "energy_forecast_consumption_96x15min is left out: hourly (60 min), whose steps make no 15 min",
        "energy_forecast_production_96x15min is left out: no site has a meter for it",
    ]
    assert {plan.spec for plan in planned([site("fine", 5)], ["load_prediction"])[0]} == {LOAD, LOAD_SLOW}


def test_finer_steps_that_a_source_keeps_apart_serve_the_models_that_need_them_alone():
    quarter, fine = site("shop", 15), site("shop", 5)
    plans, _ = planned([quarter], KINDS, [fine])
    of = {plan.spec: plan.sites for plan in plans}
    assert of[LOAD] == [fine]
    assert of[ENERGY] == of[LOAD_SLOW] == [quarter]
    plans, notes = planned([quarter], ["load_prediction"], [])
    assert [plan.spec for plan in plans] == [LOAD_SLOW]
    assert notes == ["load_prediction_consumption_12x5min is left out: no site has a meter for it"]


def test_many_sites_are_named_by_the_first_ones():
    _, notes = planned([site(f"s{number}", 60) for number in range(9)], ["energy_forecast"])
    assert notes[0].endswith("s0 (60 min), s1 (60 min), s2 (60 min) and 6 others, whose steps make no 15 min")


def test_steps_that_do_not_fit_are_left_out():
    assert [one.name for one in in_steps(ENERGY, [site("odd", 10), site("fine", 3)])] == ["fine"]
