from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD, LOAD_SLOW, MINUTE_US, SPECS, energy_spec
from gateway.contract.inputs import (
    CHANNEL_NAMES,
    CHANNELS,
    LAG_DAYS,
    MEAN_HOURS,
    SCALE_W_MIN,
    WEEK_DAYS,
    Inputs,
    input_digest,
    is_forecastable,
    model_inputs,
    restore_w,
    same_time_step,
    scale_history,
    target_instants,
)
from gateway.contract.local_time import utc_offset_us

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "Africa/Lagos", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
HOURLY = energy_spec(60 * MINUTE_US, 24)
# Four days around each change of clocks in Berlin in 2024.
SPRING_US = int(datetime(2024, 3, 29, tzinfo=UTC).timestamp()) * 1_000_000
AUTUMN_US = int(datetime(2024, 10, 25, tzinfo=UTC).timestamp()) * 1_000_000

seeds = st.integers(0, 2**32 - 1)
zones = st.sampled_from(ZONES).map(ZoneInfo)
specs = st.sampled_from([*SPECS, HOURLY])
hours_us = st.integers(0, 75 * 365 * 24).map(lambda hour: hour * DAY_US // 24)


def history(spec, seed, count=1):
    """`count` times four weeks with a daily rhythm, some steps unknown, in memory one after the other."""
    rng = np.random.default_rng(seed)
    days = np.arange(spec.history_steps) / spec.day_steps
    power = 900 + 600 * np.sin(2 * np.pi * days) + rng.normal(0, 200, (count, spec.history_steps))
    known = rng.random((count, spec.history_steps)) > 0.05
    known[:, -1] = True
    return power, known


def inputs_of(spec, power, known, issued_us, zone=UTC_ZONE):
    return model_inputs(spec, scale_history(power, known), np.asarray(issued_us, dtype=np.int64), zone)


def all_known(power):
    return np.ones(power.shape, dtype=bool)


def channel(inputs, name):
    """One channel of the steps ahead, without the row of the peak."""
    return inputs.steps[..., CHANNEL_NAMES.index(name)]


def same(one, other):
    """Whether both tensors are the same bit for bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@given(specs, seeds, zones, hours_us, st.sampled_from(["C", "F"]))
@settings(max_examples=40, deadline=None)
def test_one_window_equals_many_bit_for_bit_in_any_memory_order(spec, seed, zone, issued_us, order):
    power, known = history(spec, seed, count=3)
    instants = issued_us + np.arange(3, dtype=np.int64) * 19 * spec.step_us
    many = inputs_of(spec, np.asarray(power, order=order), np.asarray(known, order=order), instants, zone)
    for number, instant in enumerate(instants):
        one = inputs_of(spec, power[number], known[number], instant, zone)
        assert same(one, Inputs(many.recent[number], many.steps[number]))


def test_overlapping_windows_of_one_series_equal_their_copies_bit_for_bit():
    power = np.random.default_rng(1).normal(500, 300, ENERGY.history_steps + 20)
    views = np.lib.stride_tricks.sliding_window_view(power, ENERGY.history_steps)
    instants = np.arange(len(views)) * ENERGY.step_us
    assert same(
        inputs_of(ENERGY, views, all_known(views), instants, BERLIN),
        inputs_of(ENERGY, views.copy(), all_known(views), instants, BERLIN),
    )


@pytest.mark.parametrize("spec", [*SPECS, HOURLY])
def test_the_tensors_are_finite_float32_in_the_shapes_of_the_spec(spec):
    inputs = inputs_of(spec, *history(spec, 1, count=2), [0, spec.step_us], BERLIN)
    assert inputs.recent.shape == (2, spec.recent_steps)
    assert inputs.steps.shape == (2, spec.rows, CHANNELS)
    for tensor in inputs:
        assert tensor.dtype == np.float32
        assert np.isfinite(tensor).all()


def test_a_model_takes_its_tensors_in_the_order_of_their_names():
    assert list(Inputs._fields) == sorted(Inputs._fields)


@given(specs, seeds, st.sampled_from([SPRING_US, AUTUMN_US]), st.integers(0, 4 * 24))
@settings(max_examples=40, deadline=None)
def test_lags_around_a_change_of_clocks_come_from_the_same_local_time(spec, seed, first_us, hour):
    issued_us = first_us + hour * DAY_US // 24
    power, _ = history(spec, seed)
    inputs = inputs_of(spec, power[0], all_known(power[0]), issued_us, BERLIN)
    scaled = scale_history(power[0], all_known(power[0]))
    for days in LAG_DAYS:
        for ahead in range(spec.horizon_steps):
            steps = same_local_time(spec, issued_us, ahead, days)
            if steps is None:
                continue
            inside = [step for step in steps if 0 <= step < spec.history_steps]
            is_known = channel(inputs, f"lag_{days}d_known")[ahead]
            assert is_known == bool(inside) or len(inside) != len(steps)
            if is_known:
                wanted = np.float32([scaled.values[step] for step in inside])
                assert channel(inputs, f"lag_{days}d")[ahead] in wanted


def same_local_time(spec, issued_us, ahead, days):
    """Steps of the history that show the same wall time `days` earlier; None where it was skipped or comes twice."""
    target = datetime.fromtimestamp((issued_us + ahead * spec.step_us) // 1_000_000, UTC).astimezone(BERLIN)
    wall = target.replace(tzinfo=None) - timedelta(days=days)
    candidates = {wall.replace(tzinfo=BERLIN, fold=fold).astimezone(UTC) for fold in (0, 1)}
    if any(instant.astimezone(BERLIN).replace(tzinfo=None) != wall for instant in candidates):
        return None
    seconds = [int(instant.timestamp()) for instant in candidates]
    return [spec.history_steps + (one * 1_000_000 - issued_us) // spec.step_us for one in seconds]


@given(specs, hours_us, zones)
@settings(max_examples=40, deadline=None)
def test_a_lag_never_reaches_the_instant_of_issue_or_beyond_unmarked(spec, issued_us, zone):
    """No future leaks in: a lag that the history does not hold is outside it, and so unknown in the tensor."""
    issued = np.asarray(issued_us)
    target_us = target_instants(spec, issued)
    offset_us = utc_offset_us(target_us, zone)
    power = np.ones(spec.history_steps)
    inputs = inputs_of(spec, power, all_known(power), issued_us, zone)
    for days in LAG_DAYS:
        index, inside = same_time_step(spec, issued, target_us, offset_us, days, zone)
        there_us = issued_us + (index - spec.history_steps) * spec.step_us
        assert (there_us[inside] < issued_us).all()
        # On a day of 23 hours the same time yesterday lies up to an hour later.
        assert (np.abs(target_us - there_us - days * DAY_US)[inside] <= DAY_US // 24).all()
        assert (channel(inputs, f"lag_{days}d_known")[: spec.horizon_steps] == inside).all()


@given(specs, seeds, hours_us, st.sampled_from([np.nan, np.inf, 1e12, -5.0]))
@settings(max_examples=30, deadline=None)
def test_what_stands_where_nothing_is_known_changes_nothing(spec, seed, issued_us, rubbish):
    power, known = history(spec, seed)
    spoilt = np.where(known, power, rubbish)
    with np.errstate(invalid="ignore"):
        assert same(
            inputs_of(spec, spoilt, known, [issued_us], BERLIN), inputs_of(spec, power, known, [issued_us], BERLIN)
        )


@given(specs, seeds, st.integers(0, 10**9))
@settings(max_examples=30, deadline=None)
def test_an_unknown_lag_is_marked_and_is_the_mean_of_the_last_week_at_that_time(spec, seed, chosen):
    power, _ = history(spec, seed)
    known = all_known(power)
    ahead, days = chosen % spec.horizon_steps, LAG_DAYS[chosen % len(LAG_DAYS)]
    known[0, ahead - days * spec.day_steps] = False
    scaled = scale_history(power, known)
    inputs = inputs_of(spec, power, known, [0])
    week = [scaled.values[0, ahead - one * spec.day_steps] for one in range(1, 8) if one != days]
    assert channel(inputs, f"lag_{days}d_known")[0, ahead] == 0
    assert channel(inputs, f"lag_{days}d")[0, ahead] == pytest.approx(np.mean(week), abs=1e-5)


@given(specs, seeds, st.sets(st.sampled_from(WEEK_DAYS)), st.integers(0, 10**9))
@settings(max_examples=30, deadline=None)
def test_the_same_weekday_is_summed_up_over_the_weeks_that_are_known(spec, seed, unknown, chosen):
    power, _ = history(spec, seed)
    known = all_known(power)
    ahead = chosen % spec.horizon_steps
    for days in unknown:
        known[0, ahead - days * spec.day_steps] = False
    values = scale_history(power, known).values[0]
    inputs = inputs_of(spec, power, known, [0])
    weeks = [values[ahead - days * spec.day_steps] for days in WEEK_DAYS if days not in unknown]
    week = [values[ahead - days * spec.day_steps] for days in range(1, 8) if days not in unknown]
    days_said = [channel(inputs, f"week_{what}")[0, ahead] for what in ("mean", "spread")]
    assert days_said == pytest.approx([np.mean(week), np.std(week)], abs=1e-5)
    said = [channel(inputs, f"weekday_{what}")[0, ahead] for what in ("known", "mean", "spread")]
    assert said[0] == len(weeks) / len(WEEK_DAYS)
    assert said[1:] == pytest.approx([np.mean(weeks), np.std(weeks)] if weeks else [np.mean(week), 0], abs=1e-5)


@given(specs, seeds)
@settings(max_examples=20, deadline=None)
def test_what_was_lately_is_told_to_every_step(spec, seed):
    power, known = history(spec, seed)
    scaled = scale_history(power, known)
    inputs = inputs_of(spec, power, known, [0])
    for hours in MEAN_HOURS:
        steps = hours * 60 * MINUTE_US // spec.step_us
        wanted = scaled.values[0, -steps:][known[0, -steps:]].mean()
        assert channel(inputs, f"mean_{hours}h")[0] == pytest.approx(wanted, abs=1e-5)
    assert channel(inputs, "previous")[0] == pytest.approx(scaled.values[0, -2], abs=1e-6)


@given(specs, seeds, st.data())
@settings(max_examples=30, deadline=None)
def test_a_recent_value_that_is_unknown_is_that_of_the_day_before_else_of_the_week_before(spec, seed, data):
    power, _ = history(spec, seed)
    known = all_known(power)
    step = data.draw(st.integers(spec.history_steps - spec.recent_steps, spec.history_steps - 2))
    unknown = data.draw(st.integers(0, 3))
    places = [step, step - spec.day_steps, step - 7 * spec.day_steps]
    known[0, places[:unknown]] = False
    values = scale_history(power, known).values[0]
    wanted = values[places[unknown]] if unknown < 3 else 0.0
    recent = inputs_of(spec, power, known, [0]).recent[0]
    assert recent[step - spec.history_steps] == np.float32(wanted)


@given(st.floats(-1e5, 1e5))
def test_a_constant_site_is_scaled_by_the_floor_and_comes_back_as_it_was(level_w):
    power = np.full(ENERGY.history_steps, level_w)
    scaled = scale_history(power, all_known(power))
    assert scaled.scale_w == pytest.approx(SCALE_W_MIN)
    assert np.abs(scaled.values).max() < 1e-6
    restored = restore_w(np.zeros((ENERGY.rows, 3), dtype=np.float32), scaled)
    assert restored == pytest.approx(level_w)


def test_a_site_of_which_nothing_is_known_gives_zeros_and_no_warning():
    power = np.full(LOAD.history_steps, np.nan)
    scaled = scale_history(power, np.zeros(power.shape, dtype=bool))
    assert (scaled.values == 0).all()
    assert (scaled.anchor_w, scaled.scale_w) == (0, SCALE_W_MIN)
    for tensor in model_inputs(LOAD, scaled, np.asarray(0), BERLIN):
        assert np.isfinite(tensor).all()


@given(specs, seeds, st.floats(0.5, 100), st.floats(-1e4, 1e4))
@settings(max_examples=30, deadline=None)
def test_sites_of_other_size_and_level_look_alike(spec, seed, factor, offset_w):
    power, known = history(spec, seed)
    one = inputs_of(spec, power, known, [0], BERLIN)
    other = inputs_of(spec, power * factor + offset_w, known, [0], BERLIN)
    for a, b in zip(one, other, strict=True):
        assert b == pytest.approx(a, abs=1e-4)


@given(specs, seeds)
@settings(max_examples=20, deadline=None)
def test_targets_scaled_and_restored_are_the_same_watts_in_order(spec, seed):
    power, known = history(spec, seed)
    scaled = scale_history(power[0], known[0])
    wanted_w = np.random.default_rng(seed).normal(1_000, 500, (spec.rows, len(spec.quantiles)))
    output = ((wanted_w - scaled.anchor_w) / scaled.scale_w).astype(np.float32)
    assert restore_w(output, scaled) == pytest.approx(np.sort(wanted_w, axis=-1), abs=0.01)


@given(specs, hours_us, zones)
@settings(max_examples=40, deadline=None)
def test_the_calendar_is_that_of_the_sites_wall_clock(spec, issued_us, zone):
    inputs = inputs_of(spec, *history(spec, 0), [issued_us], zone)
    for ahead in range(0, spec.horizon_steps, max(1, spec.horizon_steps // 4)):
        local = datetime.fromtimestamp((issued_us + ahead * spec.step_us) // 1_000_000, UTC).astimezone(zone)
        weekdays = [channel(inputs, f"weekday_{day}")[0, ahead] for day in range(7)]
        assert weekdays == [float(day == local.weekday()) for day in range(7)]
        phase = 2 * np.pi * (local.hour * 60 + local.minute) / (24 * 60)
        assert channel(inputs, "sin_1")[0, ahead] == pytest.approx(np.sin(phase), abs=1e-5)
        assert channel(inputs, "cos_1")[0, ahead] == pytest.approx(np.cos(phase), abs=1e-5)


@given(st.sampled_from([LOAD, LOAD_SLOW]), seeds, hours_us)
@settings(max_examples=20, deadline=None)
def test_the_last_row_tells_of_the_peak(spec, seed, issued_us):
    inputs = inputs_of(spec, *history(spec, seed), [issued_us], BERLIN)
    assert channel(inputs, "is_peak")[0].tolist() == [0.0] * spec.horizon_steps + [1.0]
    for name in CHANNEL_NAMES:
        *steps, peak = channel(inputs, name)[0].tolist()
        if name.startswith(("lag_", "week_", "weekday_mean", "weekday_spread", "weekday_known")):
            assert peak == (min(steps) if name.endswith("_known") else max(steps))
        elif name != "is_peak":
            assert peak == steps[0]


@pytest.mark.parametrize("spec", SPECS)
def test_a_site_is_forecast_when_its_last_day_and_last_step_are_known(spec):
    known = np.zeros(spec.history_steps, dtype=bool)
    known[-spec.day_steps :] = True
    assert is_forecastable(known, spec)
    known[-spec.day_steps // 2 :][: spec.day_steps // 9] = False
    assert not is_forecastable(known, spec)
    known[-spec.day_steps :] = True
    known[-1] = False
    assert not is_forecastable(known, spec)
    assert is_forecastable(np.ones((3, spec.history_steps), dtype=bool), spec).tolist() == [True] * 3


def test_the_digest_names_this_definition_and_no_other():
    """A new number here makes every bundle in the field unusable: change the definition only with a new model."""
    assert input_digest() == "abb7e56917c0d13071025d8f429550a719603687c17acf5a813c8f1e39a75482"
