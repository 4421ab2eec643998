from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW, ForecastSpec
from gateway.contract.inputs import scale_history
from gateway.contract.manifest import ForecastTarget
from gateway.contract.records import ForecastRecord, decode_record, encode_record
from gateway.core.baseline import BASELINES, Baseline
from gateway.core.forecast import (
    FORECAST_W_MAX,
    energy_wh,
    from_baseline,
    from_model,
    lowest_w,
    record,
    rung_of,
    within_physics,
)
from gateway.core.past import Past

BERLIN, LAGOS = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Lagos")
START_US = UtcUs(1_709_247_600_000_000)  # 2024-03-01 00:00 in Lagos


def past(power_w: np.ndarray, known: np.ndarray | None = None, issued_us: int = START_US) -> Past:
    return Past(power_w, np.ones(power_w.shape, np.bool_) if known is None else known, np.asarray(issued_us), LAGOS)


def only(spec: ForecastSpec, *parts: slice) -> np.ndarray:
    known = np.zeros(spec.history_steps, np.bool_)
    for part in parts:
        known[part] = True
    return known


def written(spec: ForecastSpec, said_w: np.ndarray) -> ForecastRecord:
    made = record(
        spec, "consumption_w", said_w, rung="model", bundle="abc", issued_us=UtcUs(START_US - 1), start_us=START_US
    )
    assert decode_record(encode_record(made)) == made
    return made


LAST_DAY, LAST_WEEK, LAST_STEP = slice(-96, None), slice(-7 * 96, -6 * 96), slice(-1, None)


@pytest.mark.parametrize(
    ("known", "first", "rung"),
    [
        (slice(None), "seasonal_naive", "seasonal_naive"),
        (LAST_WEEK, "seasonal_naive", "seasonal_naive"),
        (LAST_DAY, "seasonal_naive", "daily_naive"),
        (LAST_DAY, "daily_naive", "daily_naive"),
        (LAST_WEEK, "daily_naive", "last_value"),
        (LAST_STEP, "seasonal_naive", "last_value"),
        (slice(None), "last_value", "last_value"),
    ],
)
def test_the_rung_says_what_all_steps_could_take(known: slice, first: Baseline, rung: str):
    one = past(np.full(ENERGY.history_steps, 500.0), only(ENERGY, known))
    assert rung_of(ENERGY, "consumption_w", first, one) == rung


def test_production_falls_to_the_week_and_the_day_before_where_no_sky_is_known():
    power_w = np.full(ENERGY.history_steps, 500.0)
    assert rung_of(ENERGY, "production_w", "smart_persistence", past(power_w)) == "smart_persistence"
    last_week = past(power_w, only(ENERGY, slice(-7 * 96, -7 * 96 + 90), slice(-14 * 96, -7 * 96)))
    assert rung_of(ENERGY, "production_w", "smart_persistence", last_week) == "last_value"


def test_what_the_model_says_is_restored_to_watts_ordered_and_bounded():
    history = np.where(np.arange(ENERGY.history_steps) % 2, 1200.0, 800.0)
    history[0] = -30.0
    one = past(history)
    scaled = scale_history(one.power_w, one.known)
    output = np.zeros((ENERGY.rows, 3), dtype=np.float32)
    output[:] = (1.0, -0.5, 0.0)  # out of order; 1.0 is a spread of about 200 W above the last value
    output[1] = -50.0
    said_w = from_model(ENERGY, "consumption_w", output, scaled, one)
    assert said_w is not None
    np.testing.assert_allclose(said_w[0], [1100, 1200, 1400], atol=2)
    assert said_w[1].tolist() == [-30, -30, -30]


@pytest.mark.parametrize("said", [1e30, -1e30, 3e38, np.nan, np.inf])
def test_what_a_model_cannot_mean_is_no_forecast(said: float):
    one = past(np.full(ENERGY.history_steps, 1000.0))
    output = np.zeros((ENERGY.rows, 3), dtype=np.float32)
    output[5, 1] = said
    assert from_model(ENERGY, "consumption_w", output, scale_history(one.power_w, one.known), one) is None


def test_there_is_no_baseline_when_nothing_is_known():
    nothing = past(np.zeros(ENERGY.history_steps), only(ENERGY))
    for target, baselines in BASELINES.items():
        for one in baselines:
            assert from_baseline(ENERGY, target, one, nothing) is None


def test_a_site_that_never_fed_in_is_not_forecast_to():
    power_w = np.tile([0.0, 3_000.0], ENERGY.history_steps // 2)
    power_w[::7] = 5_000.0
    said_w = from_baseline(ENERGY, "consumption_w", "last_value", past(power_w))
    assert said_w is not None
    assert said_w.min() == 0
    power_w[2::97] = -700.0  # unmetered panels: the grid meter shows less than nothing
    assert lowest_w(past(power_w)) == -700
    assert lowest_w(past(power_w, power_w >= 0)) == 0, "what is not known sets no floor"


def test_panels_give_nothing_at_night_and_never_less_than_nothing():
    hours = np.arange(ENERGY.history_steps) % 96 / 4
    power_w = np.maximum(0.0, 1000 * np.sin((hours - 6) / 12 * np.pi))
    said_w = within_physics(ENERGY, "production_w", np.tile([-50.0, 20.0, 90.0], (96, 1)), past(power_w))
    night = (np.arange(96) < 22) | (np.arange(96) > 74)
    assert not said_w[night].any()
    assert said_w[48].tolist() == [0, 20, 90]


def test_a_peak_is_not_below_any_of_its_steps():
    said_w = np.tile([100.0, 200.0, 300.0, 400.0], (LOAD.rows, 1))
    said_w[3] = [150.0, 250.0, 350.0, 450.0]
    bounded = within_physics(LOAD, "consumption_w", said_w, past(np.full(LOAD.history_steps, 200.0)))
    assert bounded[-1].tolist() == [150, 250, 350, 450]
    assert np.array_equal(bounded[:-1], said_w[:-1])


def test_a_record_holds_what_its_kind_has():
    energy = written(ENERGY, np.tile([100.4, 200.0, 299.6], (96, 1)))
    assert (energy.kind, energy.p95, energy.peak) == ("energy_forecast", None, None)
    assert (energy.p10[0], energy.p50[-1], energy.p90[7]) == (100, 200, 300)
    assert (energy.step_us, len(energy.p50), energy_wh(energy)) == (ENERGY.step_us, 96, 4800)
    load = written(LOAD, np.tile([1.0, 2.0, 3.0, 4.0], (13, 1)) + np.arange(13)[:, np.newaxis])
    assert (load.kind, load.p95, load.peak) == ("load_prediction", list(range(4, 16)), [13, 14, 15, 16])
    assert load.p10 == list(range(1, 13))


@settings(deadline=None, max_examples=25)
@given(
    arrays.arrays(np.float64, LOAD_SLOW.history_steps, elements=st.floats(-1e13, 1e13), fill=st.floats(-100, 100)),
    arrays.arrays(np.bool_, LOAD_SLOW.history_steps),
    st.sampled_from(["consumption_w", "production_w"]),
    st.sampled_from([ENERGY, LOAD_SLOW]),
    st.integers(0, 4 * 365 * 96),
)
def test_every_history_has_a_record_in_order_or_none(
    power_w: np.ndarray, known: np.ndarray, target: ForecastTarget, spec: ForecastSpec, steps: int
):
    one = Past(power_w, known, np.asarray(START_US + steps * spec.step_us), BERLIN)
    for baseline in BASELINES[target]:
        said_w = from_baseline(spec, target, baseline, one)
        if said_w is None:
            assert not known.any()
            continue
        made = written(spec, said_w)
        quantiles = np.array([made.p10, made.p50, made.p90])
        assert (np.diff(quantiles, axis=0) >= 0).all()
        assert quantiles.max() <= FORECAST_W_MAX
        assert quantiles.min() >= min(0, power_w[known].min()) - 1
        if made.peak is not None:
            assert made.peak[:3] >= quantiles.max(axis=1).tolist()
