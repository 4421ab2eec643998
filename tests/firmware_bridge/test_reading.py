import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Reading, Series, UtcUs, floor_us

INSTANT = st.integers(0, 2**62)
PERIOD = st.integers(1, 10**12)


@given(INSTANT, PERIOD)
def test_an_interval_is_half_open_named_by_its_start_and_aligned_to_the_epoch(at_us: int, period_us: int):
    start_us = floor_us(UtcUs(at_us), period_us)
    assert start_us % period_us == 0
    assert start_us <= at_us < start_us + period_us
    assert floor_us(start_us, period_us) == start_us


def test_the_worst_quality_is_the_largest():
    assert max(Quality) is Quality.MISSING
    assert min(Quality) is Quality.GOOD


def test_a_series_sorts_by_meter_then_measurand_and_says_its_name():
    a = Series(MeterId("a"), Measurand.VOLTAGE_V)
    b = Series(MeterId("b"), Measurand.ACTIVE_POWER_W)
    assert sorted([b, a]) == [a, b]
    assert str(a) == "a.voltage_v"
    assert len({a, Series(MeterId("a"), Measurand.VOLTAGE_V)}) == 1


def test_a_reading_never_changes():
    reading = Reading(MeterId("m"), Measurand.VOLTAGE_V, UtcUs(0), 230.0, Quality.GOOD)
    with pytest.raises(AttributeError):
        reading.value = 0.0
    assert msgspec.structs.replace(reading, value=None, quality=Quality.MISSING).value is None
