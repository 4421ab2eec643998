"""Gas, air, a pump and a door."""

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.utility_room import UtilityRoom
from firmware_bridge.simulator.weather import Weather

START_S = 1_767_225_600


def room(seed: int = 1) -> UtilityRoom:
    house = House(seed)
    return UtilityRoom(house, Weather(house), UtcUs(START_S * 1_000_000))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5 * 86_400))
def test_everything_is_plausible_and_gas_is_never_given_back(seed, second):
    one = room(seed)
    before, after = one.values(START_S + second), one.values(START_S + second + 60)
    assert set(before) == one.measurands
    for measurand, value in before.items():
        assert measurand.facts.plausible_low <= value <= measurand.facts.plausible_high
    assert after[Measurand.GAS_VOLUME_M3] > before[Measurand.GAS_VOLUME_M3]


def test_winter_burns_more_gas_than_summer():
    one = room()

    def burnt_m3(day: int) -> float:
        days = [one.values(START_S + at * 86_400)[Measurand.GAS_VOLUME_M3] for at in (day, day + 1)]
        return days[1] - days[0]

    assert burnt_m3(15) > 3 * burnt_m3(195)


def test_the_pump_runs_and_stands_and_the_door_opens_and_closes():
    one = room()
    day = [one.values(START_S + second) for second in range(0, 86_400, 61)]
    shaking = [values[Measurand.VIBRATION_M_PER_S] for values in day]
    assert min(shaking) < 1e-4
    assert max(shaking) > 1e-3
    assert {values[Measurand.CONTACT] for values in day} == {0.0, 1.0}


def test_it_is_the_same_after_a_restart():
    later = START_S + 90_000
    one = room()
    one.values(START_S)
    assert one.values(later) == room().values(later)
