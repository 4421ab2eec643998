from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cloud_trainer.sources.wall_time import instants
from gateway.contract.local_time import utc_offset_us

HALF_HOUR_US = 1_800_000_000
# 25 March to 14 April and 10 October to 9 November 2025: clocks go back once in each of these zones, or never
DAYS = (*range(20_172, 20_192), *range(20_371, 20_401))
BERLIN = ZoneInfo("Europe/Berlin")


def wall(*texts):
    return np.array([int(datetime.fromisoformat(one).replace(tzinfo=UTC).timestamp()) * 1_000_000 for one in texts])


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Kolkata", "UTC"])
def test_wall_times_lead_back_to_their_instants(name):
    zone = ZoneInfo(name)
    us = np.concatenate([(day * 48 + np.arange(48, dtype=np.int64)) * HALF_HOUR_US for day in DAYS])
    found = instants(us + utc_offset_us(us, zone), zone)
    np.testing.assert_array_equal(found.us, us)
    assert not found.never.any()
    assert not found.unclear.any()
    changes = len(set(utc_offset_us(us, zone).tolist())) - 1
    assert found.twice.any() == bool(changes)


def test_an_hour_that_clocks_skip_never_was_but_its_beginning_ends_what_was_before():
    found = instants(wall("2025-03-30T01:45", "2025-03-30T02:00", "2025-03-30T02:15", "2025-03-30T03:00"), BERLIN)
    assert found.never.tolist() == [False, False, True, False]
    assert found.us[1] == found.us[3] == wall("2025-03-30T01:00")[0]


def test_an_hour_that_is_there_once_though_clocks_showed_it_twice_is_unclear():
    found = instants(wall("2025-10-26T01:45", "2025-10-26T02:15", "2025-10-26T03:15"), BERLIN)
    assert found.unclear.tolist() == [False, True, False]


def test_the_two_hours_may_be_told_side_by_side():
    found = instants(wall("2025-10-26T02:00", "2025-10-26T02:00", "2025-10-26T02:30", "2025-10-26T02:30"), BERLIN)
    expected = wall("2025-10-26T00:00", "2025-10-26T01:00", "2025-10-26T00:30", "2025-10-26T01:30")
    np.testing.assert_array_equal(found.us, expected)
    assert found.twice.all()
