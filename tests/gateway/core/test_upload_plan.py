import zlib
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.config import SyncConfig
from gateway.contract.records import Record, encode_record
from gateway.core.upload_plan import (
    JITTER_FRACTION,
    KINDS,
    REST_S_MAX,
    REST_S_MIN,
    Share,
    day_of,
    kind_of,
    phase_s,
    rest_s,
    until_turn_s,
)
from tests.sim.cloud_records import one_of_each

PERIOD_S = 300.0
EVERY_KIND = {kind.__struct_config__.tag for kind in get_args(Record)}


def test_health_says_nothing_of_what_was_measured():
    assert KINDS["health"] == {"status", "model_report"}


def test_each_share_holds_the_one_below_and_the_last_one_everything():
    assert KINDS["health"] < KINDS["aggregates"] < KINDS["raw"] == EVERY_KIND
    assert KINDS["raw"] - KINDS["aggregates"] == {"raw"}


def test_every_setting_has_its_kinds():
    assert set(KINDS) == set(get_args(Share)) == set(get_args(SyncConfig.__annotations__["share"]))


def test_ten_thousand_gateways_spread_over_the_period():
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(phase_s(f"gateway-{number}", PERIOD_S) / PERIOD_S * 10)] += 1
    assert min(tenths) > 900
    assert max(tenths) < 1_100


@given(st.integers(0, 2**60), st.floats(0.001, 86_400.0), st.floats(0, 1, exclude_max=True))
def test_the_next_turn_is_within_a_period_and_its_jitter(now_us: int, period_s: float, chance: float):
    wait_s = until_turn_s("gw-1", period_s, UtcUs(now_us), lambda: chance)
    assert 0 < wait_s <= period_s * (1 + JITTER_FRACTION) + 1e-6


@given(st.integers(0, 2**60))
def test_turns_come_at_the_same_place_of_each_period(now_us: int):
    wait_s = until_turn_s("gw-1", PERIOD_S, UtcUs(now_us), lambda: 0.0)
    at_us = now_us + round(wait_s * US_PER_S)
    assert at_us % round(PERIOD_S * US_PER_S) == pytest.approx(phase_s("gw-1", PERIOD_S) * US_PER_S, abs=2)


def test_a_turn_that_was_just_taken_is_not_taken_again():
    now_us = UtcUs(5_666_666 * 300 * US_PER_S + round(phase_s("gw-1", PERIOD_S) * US_PER_S))
    for _ in range(20):
        before_us = now_us
        now_us = UtcUs(now_us + round(until_turn_s("gw-1", PERIOD_S, now_us, lambda: 0.99) * US_PER_S))
        assert (now_us - before_us) / US_PER_S > PERIOD_S * (1 - JITTER_FRACTION)


def test_a_backlog_rests_as_long_as_a_batch_took_within_bounds():
    assert (rest_s(0.0), rest_s(2.5), rest_s(1e6)) == (REST_S_MIN, 2.5, REST_S_MAX)


def test_the_kind_of_a_record_is_read_from_its_first_bytes():
    for record in one_of_each():
        assert kind_of(encode_record(record)) == record.__struct_config__.tag


@given(st.binary(max_size=100))
def test_what_is_no_record_has_no_kind(body: bytes):
    assert kind_of(body) in {"unknown", *EVERY_KIND}
    assert kind_of(zlib.compress(body)) in {"unknown", *EVERY_KIND}


def test_a_day_is_that_of_the_site():
    late_us = UtcUs(1_704_151_800 * US_PER_S)  # 2024-01-01 23:30 UTC
    assert day_of(late_us, ZoneInfo("UTC")).day == 1
    assert day_of(late_us, ZoneInfo("Africa/Lagos")).day == 2
