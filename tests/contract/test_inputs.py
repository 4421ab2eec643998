from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.inputs import (
    CHANNEL_NAMES,
    CHANNELS,
    DAY_STEPS,
    HISTORY_STEPS,
    HORIZON_STEPS,
    LAG_DAYS,
    SCALE_W_MIN,
    STEP_US,
    forecast_tensor,
    input_digest,
    is_forecastable,
    lag_index,
    restore_w,
    scale_window,
    utc_offset_us,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "Africa/Lagos", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
# Four days around each change of clocks in Berlin in 2024.
SPRING_US = int(datetime(2024, 3, 29, tzinfo=UTC).timestamp()) * 1_000_000
AUTUMN_US = int(datetime(2024, 10, 25, tzinfo=UTC).timestamp()) * 1_000_000

seeds = st.integers(0, 2**32 - 1)
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants_us = st.integers(0, 75 * 365 * DAY_STEPS).map(lambda step: step * STEP_US)


def history(seed, count=1):
    """`count` weeks with a daily rhythm, some slots unknown, in memory one after the other."""
    rng = np.random.default_rng(seed)
    hours = np.arange(HISTORY_STEPS) / 4
    power = 900 + 600 * np.sin(2 * np.pi * hours / 24) + rng.normal(0, 200, (count, HISTORY_STEPS))
    known = rng.random((count, HISTORY_STEPS)) > 0.05
    known[:, -1] = True
    return power, known


def tensor_of(power, known, issued_us, zone):
    return forecast_tensor(scale_window(power, known), np.asarray(issued_us, dtype=np.int64), zone)


def channel(tensor, name):
    return tensor[..., CHANNEL_NAMES.index(name)]


@given(seeds, zones, instants_us, st.sampled_from(["C", "F"]))
@settings(max_examples=40, deadline=None)
def test_one_window_equals_many_bit_for_bit_in_any_memory_order(seed, zone, issued_us, order):
    power, known = history(seed, count=3)
    instants = issued_us + np.arange(3, dtype=np.int64) * 19 * STEP_US
    many = tensor_of(np.asarray(power, order=order), np.asarray(known, order=order), instants, zone)
    for number, instant in enumerate(instants):
        one = tensor_of(power[number], known[number], instant, zone)
        assert one.tobytes() == many[number].tobytes()


def test_overlapping_windows_of_one_series_equal_their_copies_bit_for_bit():
    power = np.random.default_rng(1).normal(500, 300, HISTORY_STEPS + 20)
    views = np.lib.stride_tricks.sliding_window_view(power, HISTORY_STEPS)
    known = np.ones(views.shape, dtype=bool)
    instants = np.arange(len(views), dtype=np.int64) * STEP_US
    assert (
        tensor_of(views, known, instants, BERLIN).tobytes()
        == tensor_of(views.copy(), known, instants, BERLIN).tobytes()
    )


def test_the_tensor_is_float32_with_time_before_channels():
    tensor = tensor_of(*history(1, count=2), [0, STEP_US], BERLIN)
    assert tensor.shape == (2, HORIZON_STEPS, CHANNELS)
    assert tensor.dtype == np.float32
    assert np.isfinite(tensor).all()


@given(seeds, st.sampled_from([SPRING_US, AUTUMN_US]), st.integers(0, 4 * DAY_STEPS))
@settings(max_examples=60, deadline=None)
def test_lags_around_a_change_of_clocks_come_from_the_same_local_time(seed, first_us, step):
    issued_us = first_us + step * STEP_US
    power, _ = history(seed)
    tensor = tensor_of(power[0], np.ones(HISTORY_STEPS, dtype=bool), issued_us, BERLIN)
    scaled = scale_window(power[0], np.ones(HISTORY_STEPS, dtype=bool))
    for days in LAG_DAYS:
        for ahead in range(HORIZON_STEPS):
            slots = same_local_time(issued_us, ahead, days)
            if slots is None:
                continue
            inside = [slot for slot in slots if 0 <= slot < HISTORY_STEPS]
            is_known = channel(tensor, f"lag_{days}d_known")[ahead]
            assert is_known == bool(inside) or len(inside) != len(slots)
            if is_known:
                wanted = np.float32([scaled.values[slot] for slot in inside])
                assert channel(tensor, f"lag_{days}d")[ahead] in wanted


def same_local_time(issued_us, ahead, days):
    """History slots that show the same wall time `days` earlier; None where that time was skipped or comes twice."""
    target = datetime.fromtimestamp((issued_us + ahead * STEP_US) // 1_000_000, UTC).astimezone(BERLIN)
    wall = target.replace(tzinfo=None) - timedelta(days=days)
    candidates = {wall.replace(tzinfo=BERLIN, fold=fold).astimezone(UTC) for fold in (0, 1)}
    if any(instant.astimezone(BERLIN).replace(tzinfo=None) != wall for instant in candidates):
        return None
    return [HISTORY_STEPS + (int(instant.timestamp()) * 1_000_000 - issued_us) // STEP_US for instant in candidates]


@given(instants_us, zones)
@settings(max_examples=40, deadline=None)
def test_a_lag_never_reaches_the_instant_of_issue_or_beyond_unmarked(issued_us, zone):
    """No future leaks in: a lag that the history does not hold is outside it, and so unknown in the tensor."""
    target_us = issued_us + np.arange(HORIZON_STEPS, dtype=np.int64) * STEP_US
    offset_us = utc_offset_us(target_us, zone)
    tensor = tensor_of(np.ones(HISTORY_STEPS), np.ones(HISTORY_STEPS, dtype=bool), issued_us, zone)
    for days in LAG_DAYS:
        index = lag_index(np.asarray(issued_us), target_us, offset_us, days, zone)
        inside = (index >= 0) & (index < HISTORY_STEPS)
        assert (channel(tensor, f"lag_{days}d_known") == inside).all()


@given(seeds, instants_us, st.sampled_from([np.nan, np.inf, 1e12, -5.0]))
@settings(max_examples=30, deadline=None)
def test_what_stands_where_nothing_is_known_changes_nothing(seed, issued_us, rubbish):
    power, known = history(seed)
    spoilt = np.where(known, power, rubbish)
    with np.errstate(invalid="ignore"):
        assert (
            tensor_of(spoilt, known, [issued_us], BERLIN).tobytes()
            == tensor_of(power, known, [issued_us], BERLIN).tobytes()
        )


@given(seeds, st.integers(0, HISTORY_STEPS - 2))
@settings(max_examples=30, deadline=None)
def test_an_unknown_slot_is_zero_and_marked_in_its_lag(seed, slot):
    power, known = history(seed)
    known[0, slot] = False
    tensor = tensor_of(power[0], known[0], 0, ZoneInfo("UTC"))
    for days in LAG_DAYS:
        ahead = slot - (HISTORY_STEPS - days * DAY_STEPS)
        if 0 <= ahead < HORIZON_STEPS:
            assert channel(tensor, f"lag_{days}d")[ahead] == 0
            assert channel(tensor, f"lag_{days}d_known")[ahead] == 0


@given(st.floats(-1e5, 1e5))
def test_a_constant_site_is_scaled_by_the_floor_and_comes_back_as_it_was(level_w):
    scaled = scale_window(np.full(HISTORY_STEPS, level_w), np.ones(HISTORY_STEPS, dtype=bool))
    assert scaled.scale_w == pytest.approx(SCALE_W_MIN)
    assert np.abs(scaled.values).max() < 1e-6
    restored = restore_w(np.zeros((HORIZON_STEPS, 3), dtype=np.float32), scaled)
    assert restored == pytest.approx(level_w)


def test_a_site_of_which_nothing_is_known_gives_zeros_and_no_warning():
    scaled = scale_window(np.full(HISTORY_STEPS, np.nan), np.zeros(HISTORY_STEPS, dtype=bool))
    assert (scaled.values == 0).all()
    assert (scaled.anchor_w, scaled.scale_w) == (0, SCALE_W_MIN)


@given(seeds, st.floats(0.5, 100), st.floats(-1e4, 1e4))
@settings(max_examples=30, deadline=None)
def test_sites_of_other_size_and_level_look_alike(seed, factor, offset_w):
    power, known = history(seed)
    one = tensor_of(power, known, [0], BERLIN)
    other = tensor_of(power * factor + offset_w, known, [0], BERLIN)
    assert other == pytest.approx(one, abs=1e-4)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_targets_scaled_and_restored_are_the_same_watts_in_order(seed):
    power, known = history(seed)
    scaled = scale_window(power[0], known[0])
    wanted_w = np.random.default_rng(seed).normal(1_000, 500, (HORIZON_STEPS, 3))
    output = ((wanted_w - scaled.anchor_w) / scaled.scale_w).astype(np.float32)
    assert restore_w(output, scaled) == pytest.approx(np.sort(wanted_w, axis=-1), abs=0.01)


@given(instants_us, zones)
@settings(max_examples=40, deadline=None)
def test_the_calendar_is_that_of_the_sites_wall_clock(issued_us, zone):
    tensor = tensor_of(*history(0), [issued_us], zone)[0]
    for ahead in (0, 1, 50, 95):
        local = datetime.fromtimestamp((issued_us + ahead * STEP_US) // 1_000_000, UTC).astimezone(zone)
        weekdays = [channel(tensor, f"weekday_{day}")[ahead] for day in range(7)]
        assert weekdays == [float(day == local.weekday()) for day in range(7)]
        phase = 2 * np.pi * (local.hour * 60 + local.minute) / (24 * 60)
        assert channel(tensor, "sin_1")[ahead] == pytest.approx(np.sin(phase), abs=1e-5)
        assert channel(tensor, "cos_1")[ahead] == pytest.approx(np.cos(phase), abs=1e-5)


def test_a_site_is_forecast_when_its_last_day_and_last_slot_are_known():
    known = np.zeros(HISTORY_STEPS, dtype=bool)
    known[-DAY_STEPS:] = True
    assert is_forecastable(known)
    known[-20:-10] = False
    assert not is_forecastable(known)
    known[-DAY_STEPS:] = True
    known[-1] = False
    assert not is_forecastable(known)


def test_the_digest_names_this_definition_and_no_other():
    """A new number here makes every bundle in the field unusable: change the definition only with a new model."""
    assert input_digest() == "c58d0a23705f527747b28b15795385a9c417f958434a248f7f9155dc19974f37"
