from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from firmware_bridge.reading import UtcUs
from gateway.contract.inputs import (
    DAY_STEPS,
    F64,
    HISTORY_STEPS,
    HORIZON_STEPS,
    STEP_US,
    Mask,
    scale_window,
)
from gateway.contract.records import ForecastRecord
from gateway.core.forecast import baseline, energy_wh, from_model, lowest_w

BERLIN, LAGOS = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Lagos")
START_US = UtcUs(1_700_000_100 * 1_000_000)
# The same power at the same local time of each week, no two slots alike.
WEEK_W = np.random.default_rng(7).permutation(7 * DAY_STEPS) * 10 + 200
KNOWN = np.ones(HISTORY_STEPS, dtype=np.bool_)


def at(text: str) -> UtcUs:
    return UtcUs(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000)


def local(at_us: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone)


def weekly_w(at_us: int, zone: ZoneInfo) -> float:
    then = local(at_us, zone)
    return float(WEEK_W[then.weekday() * DAY_STEPS + then.hour * 4 + then.minute // 15])


def weekly(start_us: int, steps: int, zone: ZoneInfo) -> list[float]:
    return [weekly_w(start_us + i * STEP_US, zone) for i in range(steps)]


def forecast(
    history: F64, known: Mask = KNOWN, *, start_us: UtcUs = START_US, zone: ZoneInfo = LAGOS
) -> ForecastRecord:
    made = baseline(history, known, issued_us=UtcUs(start_us - 1), start_us=start_us, zone=zone)
    assert made is not None
    assert (made.start_us, made.issued_us, made.step_us) == (start_us, start_us - 1, STEP_US)
    assert (made.target, made.bundle) == ("consumption_w", None)
    assert len(made.p10) == len(made.p50) == len(made.p90) == HORIZON_STEPS
    return made


def before(start_us: int, zone: ZoneInfo) -> F64:
    return np.array(weekly(start_us - HISTORY_STEPS * STEP_US, HISTORY_STEPS, zone))


@pytest.mark.parametrize("offset", [0, 1, 37, 95, 300])
def test_the_baseline_is_exact_on_a_week_that_repeats(offset: int):
    start_us = UtcUs(START_US + offset * STEP_US)
    made = forecast(before(start_us, LAGOS), start_us=start_us)
    assert made.rung == "seasonal_naive"
    assert made.p50 == weekly(start_us, HORIZON_STEPS, LAGOS)


@pytest.mark.parametrize("day", range(1, 7))
@pytest.mark.parametrize("quarter", [0, 5, 50])
def test_it_stays_exact_in_the_week_after_clocks_go_forward(day: int, quarter: int):
    start_us = UtcUs(at("2024-03-31T00:00") + (day * DAY_STEPS + quarter) * STEP_US)
    made = forecast(before(start_us, BERLIN), start_us=start_us, zone=BERLIN)
    # The hour that was left out a week ago has no power to repeat.
    for i, (said, true) in enumerate(zip(made.p50, weekly(start_us, HORIZON_STEPS, BERLIN), strict=True)):
        then = local(start_us + i * STEP_US, BERLIN)
        assert said == true or (then.weekday(), then.hour) == (6, 2)
    assert made.rung == "seasonal_naive"


@pytest.mark.parametrize("day", range(1, 7))
@pytest.mark.parametrize("quarter", [0, 5, 50])
def test_it_stays_exact_in_the_week_after_clocks_go_back_but_for_the_hour_before_the_window(day: int, quarter: int):
    start_us = UtcUs(at("2024-10-27T01:00") + (day * DAY_STEPS + quarter) * STEP_US)
    made = forecast(before(start_us, BERLIN), start_us=start_us, zone=BERLIN)
    # A week of local time was an hour longer than the window: its first hour takes yesterday's.
    assert made.rung == "daily_naive"
    assert made.p50[4:] == weekly(start_us, HORIZON_STEPS, BERLIN)[4:]
    assert made.p50[:4] == weekly(start_us - DAY_STEPS * STEP_US, 4, BERLIN)


@pytest.mark.parametrize("quarter", [0, 5, 50, 95])
def test_it_is_exact_across_the_day_on_which_clocks_change(quarter: int):
    for change in ("2024-03-30T12:00", "2024-10-26T12:00"):
        start_us = UtcUs(at(change) - quarter * STEP_US)
        made = forecast(before(start_us, BERLIN), start_us=start_us, zone=BERLIN)
        truth = weekly(start_us, HORIZON_STEPS, BERLIN)
        wrong = [i for i, pair in enumerate(zip(made.p50, truth, strict=True)) if pair[0] != pair[1]]
        # After clocks went back the same local hour of last week lies an hour further back, never outside.
        assert wrong == []
        assert made.rung == "seasonal_naive"


def only(*parts: slice) -> Mask:
    known = np.zeros(HISTORY_STEPS, dtype=np.bool_)
    for part in parts:
        known[part] = True
    return known


LAST_DAY, LAST_STEP, FIRST_DAY = slice(-DAY_STEPS, None), slice(-1, None), slice(DAY_STEPS)


@pytest.mark.parametrize(
    ("known", "rung"),
    [
        (KNOWN, "seasonal_naive"),
        (only(FIRST_DAY), "seasonal_naive"),
        (only(LAST_DAY), "daily_naive"),
        (only(LAST_DAY, slice(1, DAY_STEPS)), "daily_naive"),
        (only(LAST_STEP), "last_value"),
        (only(slice(-DAY_STEPS + 1, None)), "last_value"),
        (only(slice(300, 301)), "last_value"),
    ],
)
def test_the_rung_says_what_all_steps_could_take(known: Mask, rung: str):
    assert forecast(before(START_US, LAGOS), known).rung == rung


def test_each_step_takes_the_best_that_is_known_of_it():
    history = np.arange(HISTORY_STEPS, dtype=np.float64) + 1000
    known = only(slice(0, 2), slice(-DAY_STEPS + 1, -DAY_STEPS + 3), LAST_STEP)
    said = forecast(history, known).p50
    last_week, yesterday, last = 1000, 1000 + HISTORY_STEPS - DAY_STEPS, 1000 + HISTORY_STEPS - 1
    assert said[:4] == [last_week, last_week + 1, yesterday + 2, last]
    assert set(said[4:]) == {last}, "the last value that is known"


def test_values_that_are_not_known_are_never_used():
    history = np.where(only(LAST_DAY), 500.0, 1e9)
    assert set(forecast(history, only(LAST_DAY)).p90) == {500}


def test_there_is_no_forecast_when_nothing_is_known():
    nothing = np.zeros(HISTORY_STEPS, dtype=np.bool_)
    assert baseline(np.zeros(HISTORY_STEPS), nothing, issued_us=START_US, start_us=START_US, zone=LAGOS) is None


def test_the_band_is_the_spread_of_differences_to_the_day_before():
    history = np.repeat(np.arange(7) * 100.0 + 5000, DAY_STEPS)
    made = forecast(history)
    assert made.p50 == [5000] * HORIZON_STEPS
    assert made.p10 == [round(5000 - 1.2816 * 1.4826 * 100)] * HORIZON_STEPS
    assert made.p90 == [round(5000 + 1.2816 * 1.4826 * 100)] * HORIZON_STEPS


@settings(deadline=None, max_examples=40)
@given(
    arrays.arrays(np.float64, HISTORY_STEPS, elements=st.floats(-1e13, 1e13), fill=st.floats(-100, 100)),
    arrays.arrays(np.bool_, HISTORY_STEPS),
    st.integers(0, 4 * 365 * DAY_STEPS),
)
def test_quantiles_are_in_order_and_never_below_what_the_site_has_shown(history: F64, known: Mask, steps: int):
    start_us = UtcUs(START_US + steps * STEP_US)
    made = baseline(history, known, issued_us=start_us, start_us=start_us, zone=BERLIN)
    if made is None:
        assert not known.any()
        return
    floor_w = round(min(0.0, history[known].min()))
    for low, median, high in zip(made.p10, made.p50, made.p90, strict=True):
        assert floor_w <= low <= median <= high


def test_a_site_that_never_fed_in_is_not_forecast_to():
    history = np.tile([0.0, 3_000.0], HISTORY_STEPS // 2)
    history[:DAY_STEPS] = 0.0
    assert set(forecast(history).p10) == {0}
    history[::2] = -700.0  # unmetered panels: the grid meter shows less than nothing
    assert forecast(history).p10[0] == -700
    assert lowest_w(history, only(slice(1, None, 2))) == 0, "what is not known sets no floor"


def test_what_the_model_says_is_restored_to_watts_ordered_and_named():
    history = np.where(np.arange(HISTORY_STEPS) % 2, 1200.0, 800.0)
    scaled = scale_window(history, KNOWN)
    output = np.zeros((HORIZON_STEPS, 3), dtype=np.float32)
    output[:] = (1.0, -0.5, 0.0)  # out of order; 1.0 is a spread of 200 W above the last value
    output[1] = -50.0
    made = from_model(output, scaled, -30.0, bundle="abc", issued_us=START_US, start_us=START_US)
    assert made is not None
    assert (made.p10[0], made.p50[0], made.p90[0]) == (1100, 1200, 1400)
    assert (made.p10[1], made.p50[1], made.p90[1]) == (-30, -30, -30)
    assert (made.rung, made.bundle) == ("model", "abc")


@pytest.mark.parametrize("said", [1e30, -1e30, 3e38, np.nan])
def test_what_a_model_cannot_mean_is_no_forecast(said: float):
    history = np.full(HISTORY_STEPS, 1000.0)
    output = np.zeros((HORIZON_STEPS, 3), dtype=np.float32)
    output[5, 1] = said
    scaled = scale_window(history, KNOWN)
    assert from_model(output, scaled, -np.inf, bundle="abc", issued_us=START_US, start_us=START_US) is None


def test_energy_is_the_median_over_the_whole_horizon():
    made = forecast(np.full(HISTORY_STEPS, 1000.0))
    assert energy_wh(made) == 24_000
    assert timedelta(microseconds=made.step_us * len(made.p50)) == timedelta(days=1)
