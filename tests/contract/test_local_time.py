from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.forecast_spec import DAY_US
from gateway.contract.local_time import earlier_us, utc_offset_us

ZONES = ["UTC", "Europe/Berlin", "Africa/Lagos", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]

zones = st.sampled_from(ZONES).map(ZoneInfo)
EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
# Berlin, New York and Lord Howe all change their clocks within five weeks from here.
SPRING_US = int(datetime(2024, 3, 8, tzinfo=UTC).timestamp()) * 1_000_000
AUTUMN_US = int(datetime(2024, 10, 3, tzinfo=UTC).timestamp()) * 1_000_000
_quarters = st.integers(0, 35 * 96).map(lambda quarter: quarter * DAY_US // 96)
instants_us = st.one_of(
    st.integers(0, 75 * 365 * DAY_US),
    _quarters.map(lambda after_us: SPRING_US + after_us),
    _quarters.map(lambda after_us: AUTUMN_US + after_us),
)
days = st.integers(0, 28)


def wall(at_us, zone):
    """What a clock on the wall shows, without its zone."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us)).astimezone(zone).replace(tzinfo=None)


@given(st.lists(instants_us, min_size=1, max_size=20), zones)
@settings(max_examples=60, deadline=None)
def test_utc_plus_the_offset_is_what_the_clock_on_the_wall_shows(at_us, zone):
    offsets = utc_offset_us(np.array(at_us), zone)
    shown_us = np.array(at_us) + offsets
    assert [EPOCH + timedelta(microseconds=int(one)) for one in shown_us] == [wall(one, zone) for one in at_us]


@pytest.mark.parametrize(
    ("zone", "change", "before_h", "after_h"),
    [
        ("Europe/Berlin", datetime(2024, 3, 31, 1, tzinfo=UTC), 1, 2),
        ("Europe/Berlin", datetime(2024, 10, 27, 1, tzinfo=UTC), 2, 1),
        ("Australia/Lord_Howe", datetime(2024, 10, 5, 15, 30, tzinfo=UTC), 10.5, 11),
    ],
)
def test_an_offset_changes_at_the_instant_at_which_the_clocks_do(zone, change, before_h, after_h):
    change_us = int(change.timestamp()) * 1_000_000
    offsets = utc_offset_us(np.array([change_us - 1, change_us]), ZoneInfo(zone))
    assert (offsets / 3_600_000_000).tolist() == [before_h, after_h]


@given(instants_us, zones, st.sampled_from([(), (1,), (2, 3), (2, 1, 2)]))
@settings(max_examples=40, deadline=None)
def test_many_instants_have_the_offsets_of_each(first_us, zone, shape):
    at_us = np.asarray(first_us + np.arange(np.prod(shape, dtype=int)).reshape(shape) * DAY_US)
    offsets = utc_offset_us(at_us, zone)
    assert offsets.shape == shape
    assert offsets.tolist() == np.vectorize(lambda one: int(utc_offset_us(np.asarray(one), zone)))(at_us).tolist()


@given(instants_us, days, zones)
@settings(max_examples=100, deadline=None)
def test_the_same_time_earlier_shows_the_same_time_unless_clocks_skipped_it(target_us, back, zone):
    target = np.array([target_us])
    there_us = int(earlier_us(target, utc_offset_us(target, zone), back, zone)[0])
    wanted = wall(int(target[0]), zone) - timedelta(days=back)
    if wanted.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wanted:
        assert wall(there_us, zone) == wanted
    else:
        assert abs(wall(there_us, zone) - wanted) <= timedelta(hours=1)
