"""Weather that a sensor of ours believes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.weather import Weather

YEAR_S = 365 * 86_400
NEW_YEAR_S = 1_767_225_600


def between(before: dict[Measurand, float], after: dict[Measurand, float], seconds: int) -> None:
    """Every value is plausible, and none changes faster than it may."""
    assert set(before) == set(after)
    for measurand, value in before.items():
        facts = measurand.facts
        assert facts.plausible_low <= value <= facts.plausible_high
        if facts.rate_max_per_s is not None:
            assert abs(after[measurand] - value) <= facts.rate_max_per_s * seconds


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["UTC", "Europe/Berlin"]), st.integers(0, YEAR_S))
def test_it_is_plausible_and_changes_no_faster_than_weather(seed, zone, second):
    weather = Weather(House(seed, time_zone=zone))
    between(weather.values(NEW_YEAR_S + second), weather.values(NEW_YEAR_S + second + 1), 1)


def test_the_night_of_the_other_clock_makes_no_step():
    weather = Weather(House(1, time_zone="Europe/Berlin"))
    change_s = 1_774_746_000  # 2026-03-29, 01:00 UTC
    between(weather.values(change_s - 1), weather.values(change_s), 1)


def test_summer_is_warm_noon_is_bright_and_night_is_dark():
    weather = Weather(House(4))
    july, january = NEW_YEAR_S + 200 * 86_400, NEW_YEAR_S + 15 * 86_400
    noons = [[weather.values(day + k * 86_400 + 43_200) for k in range(10)] for day in (july, january)]
    warmth = [np.mean([one[Measurand.TEMPERATURE_C] for one in days]) for days in noons]
    assert warmth[0] > warmth[1] + 10
    assert all(one[Measurand.IRRADIANCE_W_PER_M2] > 50 for one in noons[0])
    night = weather.values(july)
    assert (night[Measurand.IRRADIANCE_W_PER_M2], night[Measurand.ILLUMINANCE_LX]) == (0, 0)


def test_the_sun_of_the_sensor_is_the_sun_of_the_panels():
    house = House(4, solar_peak_w=1_000.0, outages_per_week=0)
    at_s = NEW_YEAR_S + 200 * 86_400 + 40_000
    watts = house.power_w(np.array([at_s * 1_000_000])).solar_w[0]
    assert Weather(house).values(at_s)[Measurand.IRRADIANCE_W_PER_M2] == watts


def test_homes_have_weather_of_their_own_and_always_the_same():
    values = [Weather(House(seed)).values(NEW_YEAR_S) for seed in (1, 2, 1)]
    assert values[0] == values[2] != values[1]
